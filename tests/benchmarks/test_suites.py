"""What contenders say where something is missing, and what fresh interpreters tell."""

from pathlib import Path

import pytest

from benchmarks.amq import nats_peer
from benchmarks.harness import Run, Unavailable
from benchmarks.start import application, fresh, imports


def test_without_a_nats_server_its_rows_say_where_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(Unavailable, match=r"nats-server is not on PATH .*apt-get install"),
        nats_peer.nats_server(),
    ):
        pass


def test_a_nats_server_that_ends_at_once_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = tmp_path / "nats-server"
    server.write_text("#!/bin/sh\nexit 1\n")
    server.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(Unavailable, match="does not start"), nats_peer.nats_server():
        pass


def test_a_program_is_measured_from_its_start_to_its_end() -> None:
    measured = fresh.measure(Run(0.01, {}), fresh.program("sum(range(10**6))"))
    assert measured.count == 1
    assert 0 < measured.extra["ms"] <= 1000 * measured.seconds
    # That of the program, not of this process, which waited for it.
    assert measured.cpu is not None
    assert measured.cpu > 0.005


def test_a_program_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match=r"status 1: (.|\n)*the reason"):
        fresh.measure(Run(0.01, {}), fresh.program("raise ValueError('the reason')"))


def test_an_import_tells_its_time_and_how_many_modules_more_it_loads() -> None:
    alone, net = (each(Run(0.01, {})).extra for each in (imports.asyncio_alone, imports.net))
    assert net["ms"] > alone["ms"] > 0
    assert net["more modules"] > alone["more modules"] == 0


def test_what_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "PROGRAM", "import a_library_that_nobody_has # {modules}")
    with pytest.raises(ImportError, match="No module named 'a_library_that_nobody_has'"):
        imports.grpc(Run(0.01, {}))


def test_an_empty_application_runs_and_ends() -> None:
    told = application.gestalt_run(Run(0.01, {})).extra
    assert told["ms"] > told["ms more"]
