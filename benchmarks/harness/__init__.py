"""What a benchmark's file needs; the rest of the harness is for its maintainers."""

from .in_tasks import in_tasks as in_tasks
from .model import Benchmark as Benchmark
from .model import Contender as Contender
from .model import Function as Function
from .model import Measured as Measured
from .model import Options as Options
from .model import Run as Run
from .model import Stopwatch as Stopwatch
from .model import Unavailable as Unavailable
