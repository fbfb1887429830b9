"""Control of a broker from outside its process, by a unix socket; the names are rabbitmqctl's."""

from .client import ControlError as ControlError
from .client import ask as ask
from .control_socket import ControlSocket as ControlSocket
from .paths import default_path as default_path
from .paths import make_folder as make_folder
