"""A view into a running application, by a unix socket."""

from .inspection import Inspection as Inspection
