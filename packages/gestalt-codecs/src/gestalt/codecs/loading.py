"""One function for each codec, which imports its file, and thereby its library, when it is called.

The imports are written out, for those who follow imports to make an application one file.
"""

from .compressor import Compressor
from .serializer import Serializer


def bytes() -> type[Serializer]:  # noqa: A001 - named as the codec is
    from .serializers.bytes import Bytes

    return Bytes


def text() -> type[Serializer]:
    from .serializers.text import Text

    return Text


def json() -> type[Serializer]:
    from .serializers.json import Json

    return Json


def msgpack() -> type[Serializer]:
    from .serializers.msgpack import Msgpack

    return Msgpack


def yaml() -> type[Serializer]:
    from .serializers.yaml import Yaml

    return Yaml


def avro() -> type[Serializer]:
    from .serializers.avro import AvroSerializer

    return AvroSerializer


def protobuf() -> type[Serializer]:
    from .serializers.protobuf import Protobuf

    return Protobuf


def deflate() -> type[Compressor]:
    from .compressors.deflate import Deflate

    return Deflate


def raw_deflate() -> type[Compressor]:
    from .compressors.deflate import RawDeflate

    return RawDeflate


def gzip() -> type[Compressor]:
    from .compressors.deflate import Gzip

    return Gzip


def bzip2() -> type[Compressor]:
    from .compressors.bzip2 import Bzip2

    return Bzip2


def xz() -> type[Compressor]:
    from .compressors.xz import Xz

    return Xz


def br() -> type[Compressor]:
    from .compressors.brotli import Brotli

    return Brotli


def snappy() -> type[Compressor]:
    from .compressors.snappy import Snappy

    return Snappy


def zstd() -> type[Compressor]:
    from .compressors.zstd import Zstd

    return Zstd


def lz4() -> type[Compressor]:
    from .compressors.lz4 import Lz4

    return Lz4
