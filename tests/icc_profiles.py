"""Small colour profiles (ICC.1:2001-04): of RGB by a matrix and curves, of greys, of printer's inks by a table."""

import itertools
import struct

import numpy as np

D50, D65 = np.array([0.9642, 1.0, 0.8249]), np.array([0.95047, 1.0, 1.08883])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

SRGB = [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]
# name: primaries, white, gamma (None: sRGB's curve)
SPACES = {
    "srgb": (SRGB, D65, None),
    "adobe rgb": ([(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)], D65, 563 / 256),
    "display p3": ([(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)], D65, None),
    "prophoto": ([(0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105)], D50, 461 / 256),
}


def decode(encoded):
    """Linear light of sRGB values."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encode(linear):
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def to_d50(primaries, white):
    """Matrix (3, 3) from linear RGB to XYZ under D50."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    matrix = columns * np.linalg.solve(columns, white)
    adapt = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D50 / (BRADFORD @ white)) @ BRADFORD
    return adapt @ matrix


def from_srgb(pixels, name):
    """What an sRGB picture (H, W, 3) uint8 is in another space, uint8."""
    primaries, white, gamma = SPACES[name]
    linear = decode(pixels / 255) @ np.linalg.solve(to_d50(primaries, white), to_d50(SRGB, D65)).T
    return np.round(255 * (encode(linear) if gamma is None else np.clip(linear, 0, 1) ** (1 / gamma))).astype(np.uint8)


def to_srgb(pixels, name):
    """The way back, float in [0, 255]."""
    primaries, white, gamma = SPACES[name]
    linear = decode(pixels / 255) if gamma is None else (pixels / 255) ** gamma
    return 255 * encode(linear @ np.linalg.solve(to_d50(SRGB, D65), to_d50(primaries, white)).T)


def _fixed(values):
    return b"".join(struct.pack(">i", round(65536 * value)) for value in values)


def _curve(gamma):
    if gamma is not None:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * gamma))
    table = np.round(65535 * decode(np.arange(1024) / 1023)).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(table)) + table.tobytes()


def _profile(kind, space, connection, tags):
    common = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(D50),
    }
    entries, body = b"", b""
    tags = common | tags
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        entries += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"test", 0x02400000, kind, space, connection)
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(D50) + bytes(48)
    return header + struct.pack(">I", len(tags)) + entries + body


def rgb_profile(name):
    """The profile of one of SPACES."""
    primaries, white, gamma = SPACES[name]
    columns = to_d50(primaries, white).T
    tags = {b"rgb"[k : k + 1] + b"XYZ": b"XYZ \0\0\0\0" + _fixed(column) for k, column in enumerate(columns)}
    tags |= {channel + b"TRC": _curve(gamma) for channel in (b"r", b"g", b"b")}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile(gamma):
    """The profile of grey levels with a gamma."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _curve(gamma)})


def ink_profile():
    """The profile of a printer whose black ink alone, of an amount k, gives the lightness L* = 100 (1 - k).

    What cyan, magenta and yellow do is made up; all inks together give black.
    """
    table = []
    for c, m, y, k in itertools.product((0, 1), repeat=4):  # the last varies the fastest
        lightness, a, b = 100 - 30 * (c + m + y), 40 * (m - c), 40 * (y - c)
        lightness, a, b = (0, 0, 0) if k else (lightness, a, b)
        table += [lightness * 0xFF00 / 100, (a + 128) * 256, (b + 128) * 256]
    straight = np.array([0, 65535], ">u2").tobytes()
    data = b"mft2\0\0\0\0" + bytes([4, 3, 2, 0]) + _fixed(np.eye(3).ravel()) + struct.pack(">HH", 2, 2)
    data += 4 * straight + np.round(table).astype(">u2").tobytes() + 3 * straight
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": data})


def as_black_ink(pixels):
    """Grey sRGB levels (H, W) uint8 as amounts of black ink, uint8; by the definition of L*."""
    luminance = decode(pixels / 255)
    root = np.where(luminance > (6 / 29) ** 3, np.cbrt(luminance), luminance / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.round(255 * (1 - (116 * root - 16) / 100)).astype(np.uint8)
