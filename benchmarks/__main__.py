"""`python -m benchmarks SUITE`, which `hatch run bench:SUITE` calls."""

from benchmarks.harness.cli import main

raise SystemExit(main())
