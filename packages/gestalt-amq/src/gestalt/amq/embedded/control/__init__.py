"""Control of a broker from outside its process, by a unix socket; the names are rabbitmqctl's."""

from .client import ControlError, ask
from .control_socket import ControlSocket
from .paths import default_path, make_folder

__all__ = ["ControlError", "ControlSocket", "ask", "default_path", "make_folder"]
