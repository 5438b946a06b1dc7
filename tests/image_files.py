"""Bytes of image files, made for the tests."""

import io
import struct
import zlib

import pillow_heif


def encoded(image, form, **options):
    """The bytes of an image file."""
    if form == "HEIC":
        return heic(image, **options)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def heic(image, *, exif=None, more=(), **options):
    """The bytes of a HEIC file; the rotation in `exif` is written as phones do, as a property beside it.

    Args:
        image: as it is stored, before it is turned.
        exif: bytes of EXIF.
        more: further pictures of the file.
        options: of the encoder, such as quality, or tile_size in pixels.
    """
    file, plain = io.BytesIO(), image.copy()
    plain.info = {}
    made = pillow_heif.from_pillow(plain)
    for other in more:
        made.add_from_pillow(other)
    if exif is not None:
        made[0].info["exif"] = exif
    made.save(file, **{"enc_params": {"preset": "ultrafast"}, **options})
    return file.getvalue()


def png(width, height, bits, colours, rows):
    """A PNG made by hand: what Pillow cannot write, or not without the memory for all the pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    squeeze = zlib.compressobj(1)
    data = b"".join(squeeze.compress(b"\0" + row) for row in rows) + squeeze.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
