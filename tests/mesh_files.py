"""Mesh files as other programs write them: one surface in every dialect, by rule, each as the bytes of its files."""

import base64
import itertools
import json
import struct
from typing import NamedTuple

import numpy as np
from analytic_face import face

SIDE = 7
VERTICES, TRIANGLES, _ = face(SIDE)
VERTICES = VERTICES.astype(np.float32).astype(float)  # as binary files hold them
_IDS = np.arange(SIDE**2).reshape(SIDE, SIDE)
QUADS = np.stack([_IDS[:-1, :-1], _IDS[:-1, 1:], _IDS[1:, 1:], _IDS[1:, :-1]], -1).reshape(-1, 4)
MIXED = [*QUADS[::2].tolist(), *(t for a, b, c, d in QUADS[1::2].tolist() for t in ([a, b, c], [a, c, d]))]
STRIPS = [list(itertools.chain(*zip(_IDS[i + 1], _IDS[i], strict=True))) for i in range(SIDE - 1)]
POLYGONS = {"triangles": TRIANGLES.tolist(), "quads": QUADS.tolist(), "mixed": MIXED}


class Case(NamedTuple):
    """A mesh as it is brought: the first of the files is read."""

    name: str
    files: dict[str, bytes]
    read: bool = True  # False: an error of one line will do as well
    ordered: bool = True  # the vertices are in their order
    tolerance: float = 1e-3  # mm


def number(x):
    return f"{x:.9g}"


# ---- texts ----------------------------------------------------------------------------------------------------------


def changed_texts(text, comment="# ", head=1):
    """A text file of numbers as programs, systems and people change it: name, bytes, and whether it must be read.

    A remark starts with `comment` and comes after `head` lines.
    """
    lines = text.splitlines()
    first, rest = lines[0], lines[1:]
    yield "plain", text.encode(), True
    yield "crlf", "\r\n".join(lines).encode() + b"\r\n", True
    yield "old mac ends", "\r".join(lines).encode(), False
    yield "no last end", text.rstrip("\n").encode(), True
    yield "bom", b"\xef\xbb\xbf" + text.encode(), False
    yield "utf-16", text.encode("utf-16"), False
    yield "utf-16 without mark", text.encode("utf-16-le"), False
    yield "tabs", text.replace(" ", "\t").encode(), False
    yield "wide blanks", text.replace(" ", "   ").encode(), False
    yield "blanks at ends", "\n".join(line + "  " for line in lines).encode() + b"\n", True
    yield "indented", "\n".join([first, *("    " + line for line in rest)]).encode() + b"\n", False
    yield "empty lines", "\n\n".join([first, *rest]).encode() + b"\n", False
    yield "empty lines at the end", text.encode() + b"\n\n\n", True
    yield "zero bytes at the end", text.encode() + b"\0\0", False
    yield "decimal commas", text.replace(".", ",").encode(), False
    yield "upper case", text.upper().encode(), False
    yield "unreadable number", ".x".join(text.rsplit(".", 1)).encode(), False
    yield "half of it", text[: len(text) // 2].encode(), False
    yield "all but the last line", "\n".join(lines[:-1]).encode() + b"\n", False
    encoded = [line.encode() for line in lines]
    for encoding in ("utf-8", "cp1252"):
        remark = f"{comment}Müller, Gesichtsöffnung".encode(encoding)
        yield f"{encoding} remark", b"\n".join([*encoded[:head], remark, *encoded[head:]]) + b"\n", False
    yield "exponents", _exponents(text), True


def _exponents(text):
    """Numbers with a point as 1.5e+01."""
    words = [
        [f"{float(w):.8e}" if "." in w and w[0] in "-0123456789" else w for w in line.split(" ")]
        for line in text.split("\n")
    ]
    return "\n".join(" ".join(line) for line in words).encode()


# ---- OBJ ------------------------------------------------------------------------------------------------------------

CORNERS = {"v": "{v}", "v/t": "{v}/{t}", "v//n": "{v}//{n}", "v/t/n": "{v}/{t}/{n}"}


def obj_text(polygons=POLYGONS["triangles"], corner="v", indices="absolute", where="after", extra=()):
    """An OBJ file; `extra` are numbers after the coordinates of each vertex."""
    more = "".join(f" {number(x)}" for x in extra)
    points = [f"v {' '.join(map(number, p))}{more}" for p in VERTICES]
    texture = [f"vt {number(i / 100)} 0.5" for i in range(len(points))] if "t" in corner else []
    normals = ["vn 0 0 1"] * len(points) if "n" in corner else []
    form = CORNERS[corner]

    def faces(count):
        for polygon in polygons:
            index = [i + 1 if indices == "absolute" else i - count for i in polygon]
            yield "f " + " ".join(form.format(v=i, t=i, n=i) for i in index)

    if where == "before":
        lines = ["# faces first", *faces(len(points)), *points, *texture, *normals]
    else:
        lines = ["# a face", "o face", *points, *texture, *normals, "s off", *faces(len(points))]
    return "\n".join(lines) + "\n"


def soup_text(polygons, indices, corner="v"):
    """An OBJ file in which each polygon follows its own vertices, as scanners and CAD programs write them."""
    lines, count = ["# a face"], 0
    for polygon in polygons:
        lines += [f"v {' '.join(map(number, VERTICES[i]))}" for i in polygon]
        lines += ["vn 0 0 1"] * len(polygon) if "n" in corner else []
        lines += ["vt 0.5 0.5"] * len(polygon) if "t" in corner else []
        count += len(polygon)
        own = range(-len(polygon), 0) if indices == "relative" else range(count - len(polygon) + 1, count + 1)
        lines.append("f " + " ".join(CORNERS[corner].format(v=i, t=i, n=i) for i in own))
    return "\n".join(lines) + "\n"


def obj_cases():
    for name, data, read in changed_texts(obj_text()):
        if name != "all but the last line":  # OBJ does not tell how many there are
            yield Case(f"obj {name}", {"a.obj": data}, read)
    for shape, corner, indices in itertools.product(POLYGONS, CORNERS, ("absolute", "relative")):
        text = obj_text(POLYGONS[shape], corner, indices)
        yield Case(f"obj {shape}, {corner}, {indices}", {"a.obj": text.encode()})
    for shape, corner, indices in itertools.product(POLYGONS, CORNERS, ("absolute", "relative")):
        text = soup_text(POLYGONS[shape], indices, corner)
        yield Case(f"obj of {shape} by themselves, {corner}, {indices}", {"a.obj": text.encode()}, ordered=False)
    for name, extra in {
        "rgb": (0.2, 0.4, 0.6),
        "rgb to 255": (20, 40, 60),
        "w": (1,),
        "w rgb": (1, 0.2, 0.4, 0.6),
    }.items():
        yield Case(f"obj with {name}", {"a.obj": obj_text(extra=extra).encode()})
    text = obj_text()
    half = text.index("\nf ", len(text) * 3 // 4)
    for name in ("usemtl skin", "g part", "o part", "s 1", "s off", "l 1 2", "p 3", "usemtl", "foo bar", "vp 1 2"):
        yield Case(f"obj with `{name}` between", {"a.obj": (text[:half] + f"\n{name}" + text[half:]).encode()})
    two = text[:half].replace("\nf ", "\nusemtl one\nf ", 1) + "\nusemtl two" + text[half:]
    yield Case(
        "obj of two materials", {"a.obj": ("mtllib a.mtl\n" + two).encode(), "a.mtl": b"newmtl one\nnewmtl two\n"}
    )
    yield Case("obj of a material that is missing", {"a.obj": ("mtllib absent.mtl\n" + two).encode()})
    yield Case("obj of a broken material", {"a.obj": ("mtllib a.mtl\n" + two).encode(), "a.mtl": bytes(range(256))})
    yield Case(
        "obj, remarks at line ends", {"a.obj": text.replace("\nf 1 ", "\nf 1 2 9 # first\nf 1 ").encode()}, False
    )
    yield Case("obj with continued lines", {"a.obj": text.replace("\nf 1 ", "\nf 1 \\\n").encode()})
    yield Case("obj, faces first", {"a.obj": obj_text(where="before").encode()})
    yield Case("obj, relative faces first", {"a.obj": obj_text(indices="relative", where="before").encode()}, False)
    yield Case("OBJ", {"A.OBJ": text.encode()})
    for name, line in {
        "zero": "f 0 1 2",
        "too large": "f 1 2 999",
        "too small": "f -999 -1 -2",
        "a word": "f a b c",
    }.items():
        yield Case(f"obj with an index that is {name}", {"a.obj": (text + line + "\n").encode()}, False)
    for word in ("nan", "inf", "1.#QNAN", "1e999", "", "0x10"):
        yield Case(f"obj with {word or 'no'} coordinate", {"a.obj": (f"v 1 2 {word}\n" + text).encode()}, False)


# ---- PLY ------------------------------------------------------------------------------------------------------------

PLY_TYPES = {"float": "f4", "double": "f8", "float32": "f4", "int": "i4", "uint": "u4", "uchar": "u1", "ushort": "u2"}
PLY_TYPES |= {"uint8": "u1", "int32": "i4", "short": "i2", "char": "i1", "uint32": "u4"}


def ply(
    form="ascii",
    place="float",
    size="uchar",
    index="int",
    called="vertex_indices",
    polygons=None,
    before=(),
    after=(),
    ends="\n",
):
    """A PLY file; `before` and `after` are further properties of a vertex, all 0, as (type, name)."""
    polygons = POLYGONS["triangles"] if polygons is None else polygons
    properties = [*before, *((place, axis) for axis in "xyz"), *after]
    header = ["ply", f"format {form} 1.0", "comment of a test", f"element vertex {len(VERTICES)}"]
    header += [f"property {kind} {what}" for kind, what in properties]
    header += [f"element face {len(polygons)}", f"property list {size} {index} {called}", "end_header"]
    text = ends.join(header) + ends
    if form == "ascii":
        rows = [(*("0" for _ in before), *map(number, p), *("0" for _ in after)) for p in VERTICES]
        rows += [(str(len(polygon)), *map(str, polygon)) for polygon in polygons]
        return (text + ends.join(map(" ".join, rows)) + ends).encode()
    order = "<" if "little" in form else ">"
    rows = np.zeros(len(VERTICES), [(what, order + PLY_TYPES[kind]) for kind, what in properties])
    for axis, values in zip("xyz", VERTICES.T, strict=True):
        rows[axis] = values
    data = text.encode() + rows.tobytes()
    for polygon in polygons:
        data += np.array(len(polygon), order + PLY_TYPES[size]).tobytes()
        data += np.array(polygon, order + PLY_TYPES[index]).tobytes()
    return data


FORMS = ("ascii", "binary_little_endian", "binary_big_endian")
COLOURS = (("uchar", "red"), ("uchar", "green"), ("uchar", "blue"))
NORMALS = (("float", "nx"), ("float", "ny"), ("float", "nz"))
UV = (("float", "s"), ("float", "t"))


def ply_cases():
    def case(name, form, read=True, **options):
        return Case(f"ply {form}, {name}", {"a.ply": ply(form, **options)}, read)

    yield from (
        Case(f"ply {name}", {"a.ply": data}, read) for name, data, read in changed_texts(ply().decode(), "comment ", 2)
    )
    for form in FORMS:
        for place, size, index in itertools.product(("float", "double"), ("uchar", "int"), ("int", "uint", "ushort")):
            yield case(f"{place}, list {size} {index}", form, place=place, size=size, index=index)
        yield case("float32, list uint8 int32", form, place="float32", size="uint8", index="int32")
        yield case("vertex_index", form, called="vertex_index")
        yield case("quads", form, polygons=POLYGONS["quads"])
        yield case("mixed", form, form == "ascii", polygons=POLYGONS["mixed"])
        if form != "ascii":  # as many bytes as if all had four corners, and not the plain surface
            yield case("polygons of 4, 3 and 5", form, False, polygons=[*QUADS.tolist(), [0, 1, 8], [0, 1, 9, 8, 7]])
        for name, more in {"colours": COLOURS, "normals": NORMALS, "both": (*NORMALS, *COLOURS), "uv": UV}.items():
            yield case(f"{name} after", form, after=more)
            yield case(f"{name} before", form, before=more)
        yield case("crlf", form, False, ends="\r\n")
        data = ply(form)
        yield Case(f"ply {form}, cut", {"a.ply": data[:-20]}, False)
        yield Case(f"ply {form}, one byte more", {"a.ply": data + b"\n"}, False)
        yield Case(f"PLY {form}", {"A.PLY": data})
    yield from odd_ply_cases()
    yield Case(
        "ply of strips", {"a.ply": ply(polygons=STRIPS, called="vertex_indices").replace(b"face", b"tristrips")}, False
    )


def odd_ply_cases():
    """What the header may tell in another order, and rows that do not hold to it."""
    text = ply().decode()
    turned = text.splitlines()
    start = turned.index("end_header") + 1
    for i in range(start, start + len(VERTICES)):
        turned[i] = " ".join(turned[i].split()[::-1])
    for a, b in (("x", "q"), ("z", "x"), ("q", "z")):
        turned = [f"property float {b}" if line == f"property float {a}" else line for line in turned]
    yield Case("ply, z first", {"a.ply": "\n".join([*turned, ""]).encode()})
    material = "element material 1\nproperty int kind\n"
    first, last = text.index("element vertex"), text.index("end_header")
    before = text[:first] + material + text[first:].replace("end_header\n", "end_header\n7\n")
    yield Case("ply with an element before", {"a.ply": before.encode()})
    yield Case("ply with an element after", {"a.ply": (text[:last] + material + text[last:] + "7\n").encode()})
    flags = text.replace("end_header", "property uchar flags\nend_header").splitlines()
    flags = [line + " 1" if line.startswith("3 ") else line for line in flags]
    yield Case("ply, flags of faces after", {"a.ply": "\n".join([*flags, ""]).encode()})
    flags = text.replace("property list", "property uchar flags\nproperty list").splitlines()
    flags = ["1 " + line if line.startswith("3 ") else line for line in flags]
    yield Case("ply, flags of faces before", {"a.ply": "\n".join([*flags, ""]).encode()})
    rows = text.splitlines()
    for name, row in {
        "short": "3 0 1",
        "long": rows[-1] + " 5",
        "empty": "0",
        "a line": "2 0 1",
        "of a word": "3 0 1 x",
    }.items():
        yield Case(f"ply, a row of a face that is {name}", {"a.ply": "\n".join([*rows[:-1], row, ""]).encode()}, False)
    middle = start + 7
    for name, row in {"short": "1 2", "long": rows[middle] + " 5", "of a word": "1 2 z", "nan": "1 2 nan"}.items():
        broken = [*rows[:middle], row, *rows[middle + 1 :], ""]
        yield Case(f"ply, a row of a vertex that is {name}", {"a.ply": "\n".join(broken).encode()}, False)


# ---- STL and OFF ----------------------------------------------------------------------------------------------------


def stl_text(name="face", parts=1):
    facets = [
        "facet normal 0 0 1\nouter loop\n"
        + "".join(f"vertex {' '.join(map(number, VERTICES[i]))}\n" for i in triangle)
        + "endloop\nendfacet\n"
        for triangle in TRIANGLES
    ]
    spans = np.array_split(np.arange(len(facets)), parts)
    return "".join(f"solid {name}\n" + "".join(facets[i] for i in span) + f"endsolid {name}\n" for span in spans)


def stl_bytes(header=b"", attribute=0):
    rows = np.zeros(len(TRIANGLES), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows["corners"], rows["attribute"] = VERTICES[TRIANGLES], attribute
    return header.ljust(80, b"\0")[:80] + struct.pack("<I", len(rows)) + rows.tobytes()


def stl_cases():
    texts = changed_texts(stl_text(), "comment ")
    yield from (Case(f"stl {name}", {"a.stl": data}, read, False) for name, data, read in texts)
    for name in ("", "two words", "vertex", "solid", "endsolid", "normal", "Müller", "facet 1 2 3"):
        yield Case(f"stl called `{name}`", {"a.stl": stl_text(name).encode()}, name in ("", "two words"), False)
    text = stl_text()
    last = text.rindex("vertex")
    for name, row in {
        "short": "vertex 1 2",
        "of a word": "vertex 1 2 z",
        "nan": "vertex 1 2 nan",
        "missing": "",
    }.items():
        data = (text[:last] + row + text[text.index("\n", last) :]).encode()
        yield Case(f"stl, a vertex that is {name}", {"a.stl": data}, False, False)
    for parts in (2, 7, 72):
        yield Case(f"stl of {parts} solids", {"a.stl": stl_text(parts=parts).encode()}, ordered=False)
    for header in (b"", b"solid face", b"STLB ATF 10.2 COLOR=abcd", "Müller".encode("cp1252"), b"facet normal vertex"):
        yield Case(f"stl binary, {header!r}", {"a.stl": stl_bytes(header)}, ordered=False)
    yield Case("stl binary with attributes", {"a.stl": stl_bytes(attribute=0x7FFF)}, ordered=False)
    yield Case("STL binary", {"A.STL": stl_bytes()}, ordered=False)
    for name, data in {
        "cut": stl_bytes()[:-30],
        "longer": stl_bytes() + b"\0" * 10,
        "header alone": stl_bytes()[:84],
    }.items():
        yield Case(f"stl binary, {name}", {"a.stl": data}, False, False)


def off_text(head="OFF", polygons=POLYGONS["triangles"], extra="", face_extra="", joined=False):
    counts = f"{len(VERTICES)} {len(polygons)} 0"
    lines = [f"{head} {counts}"] if joined else [head, counts]
    lines += [" ".join(map(number, p)) + extra for p in VERTICES]
    lines += [f"{len(p)} {' '.join(map(str, p))}{face_extra}" for p in polygons]
    return "\n".join(lines) + "\n"


def off_cases():
    yield from (Case(f"off {name}", {"a.off": data}, read) for name, data, read in changed_texts(off_text()))
    for shape, polygons in POLYGONS.items():
        yield Case(f"off of {shape}", {"a.off": off_text(polygons=polygons).encode()})
        yield Case(
            f"off of {shape} with colours", {"a.off": off_text(polygons=polygons, face_extra=" 255 0 0").encode()}
        )
    for head, extra in {
        "COFF": " 10 20 30 255",
        "NOFF": " 0 0 1",
        "STOFF": " 0.5 0.5",
        "CNOFF": " 0 0 1 9 9 9 9",
    }.items():
        yield Case(f"off {head}", {"a.off": off_text(head, extra=extra).encode()}, False)
    yield Case("off 4OFF", {"a.off": off_text("4OFF", extra=" 2").encode()}, False)
    rows = off_text().splitlines()
    for name, row in {"short": "3 0 1", "too long": "4 0 1 2", "of a word": "3 0 1 x", "a line": "2 0 1"}.items():
        yield Case(f"off, a row of a face that is {name}", {"a.off": "\n".join([*rows[:-1], row, ""]).encode()}, False)
    for name, row in {"short": "1 2", "of a word": "1 2 z", "nan": "1 2 nan"}.items():
        yield Case(
            f"off, a row of a vertex that is {name}",
            {"a.off": "\n".join([*rows[:9], row, *rows[10:], ""]).encode()},
            False,
        )
    yield Case("off, counts in the first line", {"a.off": off_text(joined=True).encode()})
    yield Case("off without head", {"a.off": off_text()[4:].encode()}, False)
    yield Case("off binary", {"a.off": off_text("OFF BINARY").encode()}, False)
    yield Case("off, index too large", {"a.off": off_text(polygons=[[0, 1, 999]]).encode()}, False)
    yield Case("off, index negative", {"a.off": off_text(polygons=[[0, 1, -1]]).encode()}, False)
    yield Case("OFF", {"A.OFF": off_text().encode()})


# ---- glTF -----------------------------------------------------------------------------------------------------------

_COMPONENT = {"f4": 5126, "u1": 5121, "u2": 5123, "u4": 5125, "i2": 5122, "i1": 5120}
METRES = (VERTICES * 1e-3).astype(np.float32)


class GltfBuilder:
    """Makes glTF of arrays, with whatever else is said."""

    def __init__(self):
        self.tree = {
            "asset": {"version": "2.0"},
            "bufferViews": [],
            "accessors": [],
            "meshes": [],
            "nodes": [],
            "scene": 0,
        }
        self.tree["scenes"] = [{"nodes": []}]
        self.buffer = b""

    def accessor(self, array, stride=0, offset=0, **more):
        """Add an array (N,) or (N, 3), its rows `stride` bytes apart if it is given; its number."""
        rows = np.ascontiguousarray(array)
        kind, size = rows.dtype.str[1:], rows[0].nbytes
        data = rows.tobytes()
        view = {"buffer": 0, "byteOffset": len(self.buffer)}
        if stride:
            padded = np.zeros((len(rows), stride), np.uint8)
            padded[:, :size] = np.frombuffer(data, np.uint8).reshape(len(rows), size)
            data, view["byteStride"] = padded.tobytes(), stride
        data = b"\xff" * offset + data
        self.buffer += data.ljust(-(-len(data) // 4) * 4, b"\0")
        self.tree["bufferViews"].append(view | {"byteLength": len(data)})
        kinds = {"SCALAR": rows.ndim == 1, "VEC2": rows.shape[1:] == (2,), "VEC3": rows.shape[1:] == (3,)}
        entry = {"bufferView": len(self.tree["bufferViews"]) - 1, "componentType": _COMPONENT[kind], "count": len(rows)}
        entry |= {"type": next(name for name, is_it in kinds.items() if is_it), "byteOffset": offset} | more
        self.tree["accessors"].append(entry)
        return len(self.tree["accessors"]) - 1

    def mesh(self, *primitives, **more):
        """Add a mesh; its number."""
        self.tree["meshes"].append({"primitives": list(primitives)} | more)
        return len(self.tree["meshes"]) - 1

    def node(self, shown=True, **entries):
        """Add a node, in the scene if it is `shown`; its number."""
        self.tree["nodes"].append(entries)
        if shown:
            self.tree["scenes"][0]["nodes"].append(len(self.tree["nodes"]) - 1)
        return len(self.tree["nodes"]) - 1

    def glb(self):
        tree = self.tree | {"buffers": [{"byteLength": len(self.buffer)}]}
        text = json.dumps(tree).encode()
        text = text.ljust(-(-len(text) // 4) * 4)
        chunks = (
            struct.pack("<I4s", len(text), b"JSON")
            + text
            + struct.pack("<I4s", len(self.buffer), b"BIN\0")
            + self.buffer
        )
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks

    def gltf(self, uri):
        return json.dumps(self.tree | {"buffers": [{"byteLength": len(self.buffer), "uri": uri}]}).encode()


def simple(places=METRES, triangles=TRIANGLES, kind="u2", place=None, index=None, mode=None, node=None, mesh=None):
    """A builder with one mesh of one primitive."""
    b = GltfBuilder()
    primitive = {"attributes": {"POSITION": b.accessor(places, **(place or {}))}}
    if triangles is not None:
        primitive["indices"] = b.accessor(np.array(triangles).ravel().astype(kind), **(index or {}))
    if mode is not None:
        primitive["mode"] = mode
    b.node(mesh=b.mesh(primitive, **(mesh or {})), **(node or {}))
    return b


def glb_case(name, builder, read=True, ordered=True):
    return Case(f"glb {name}", {"a.glb": builder.glb()}, read, ordered)


def gltf_cases():
    for kind in ("u1", "u2", "u4"):
        yield glb_case(f"indices {kind}", simple(kind=kind))
        yield glb_case(f"offset indices {kind}", simple(kind=kind, index={"offset": 4}))
    soup = METRES[TRIANGLES].reshape(-1, 3)
    yield glb_case("without indices", simple(soup, None), ordered=False)
    yield glb_case("of single triangles", simple(soup, np.arange(len(soup))), ordered=False)
    for stride, offset in itertools.product((0, 12, 16, 32), (0, 4, 12)):
        yield glb_case(f"stride {stride}, offset {offset}", simple(place={"stride": stride, "offset": offset}))
    nodes = {
        "scaled": ({"scale": [0.5] * 3}, METRES * 2),
        "moved": ({"translation": [1, 2, 3]}, METRES - (1, 2, 3)),
        "turned": ({"rotation": [0, 0, 1, 0]}, METRES * (-1, -1, 1)),
        "a matrix": (
            {"matrix": [0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1, 0, 0.5, 0, 0, 1]},
            (METRES - (0.5, 0, 0))[:, [1, 0, 2]] * (1, -1, 1),
        ),
    }
    for name, (node, places) in nodes.items():
        yield glb_case(f"node {name}", simple(places.astype("f4"), node=node))
    mirrored = simple((METRES * (-1, 1, 1)).astype("f4"), TRIANGLES[:, ::-1], node={"scale": [-1, 1, 1]})
    yield glb_case("node mirrored", mirrored)
    b = simple()
    b.node(False, mesh=b.mesh({"attributes": {"POSITION": b.accessor(METRES[[0, 1, 8]] + np.float32(9))}}))
    b.tree["scenes"].append({"nodes": [1]})
    yield glb_case("of two scenes", b, False)
    b.tree["scenes"], b.tree["scene"] = b.tree["scenes"][::-1], 1
    yield glb_case("of two scenes, the second shown", b, False)
    b = simple((METRES * 100).astype("f4"))
    b.tree["scenes"][0]["nodes"] = [b.node(False, children=[0], scale=[0.1] * 3)]
    b.tree["scenes"][0]["nodes"] = [b.node(False, children=b.tree["scenes"][0]["nodes"], scale=[0.1] * 3)]
    yield glb_case("in a scaled tree", b)
    b = simple()
    b.node(False, mesh=b.mesh({"attributes": {"POSITION": b.accessor(METRES + np.float32(9))}}))
    yield glb_case("with a mesh that no scene shows", b, False)
    b = simple()
    b.node(mesh=0)
    yield glb_case("with the mesh twice at a place", b)
    b = GltfBuilder()
    place, half = b.accessor(METRES), len(TRIANGLES) // 2
    parts = [
        {"attributes": {"POSITION": place}, "indices": b.accessor(t.ravel().astype("u2"))}
        for t in (TRIANGLES[:half], TRIANGLES[half:])
    ]
    b.node(mesh=b.mesh(*parts))
    yield glb_case("of two primitives", b)
    b = GltfBuilder()
    for part in (TRIANGLES[:half], TRIANGLES[half:]):
        b.node(
            mesh=b.mesh(
                {"attributes": {"POSITION": b.accessor(METRES)}, "indices": b.accessor(part.ravel().astype("u2"))}
            )
        )
    yield glb_case("of two meshes", b)


def unusual_gltf_cases():
    """What trimesh does not read, and what else is to be met."""
    b = simple()
    b.tree["meshes"][0]["primitives"] += [{"attributes": {"POSITION": 0}, "mode": mode} for mode in (0, 1)]
    yield glb_case("with points and lines", b, False)
    strip = STRIPS[0]
    for row in STRIPS[1:]:
        strip = [*strip, strip[-1], row[0], *row]
    yield glb_case("of a strip", simple(triangles=strip, mode=5))
    fan = [0, *(k for k in range(1, 8)), 14]
    yield glb_case("of a fan", simple(triangles=fan, mode=6), False)
    yield glb_case("sparse", simple(place={"sparse": {"count": 1}}), False)
    small = np.round(METRES * 100).astype("i2")
    yield glb_case("quantised", simple(small, place={"stride": 8}, node={"scale": [0.01] * 3}), False)
    yield glb_case("quantised and normalised", simple(small, place={"stride": 8, "normalized": True}), False)
    for name in ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "VENDOR_new_thing", "KHR_mesh_quantization"):
        b = simple()
        b.tree |= {"extensionsUsed": [name], "extensionsRequired": [name]}
        yield glb_case(f"that requires {name}", b, False)
        b = simple()
        b.tree |= {"extensionsUsed": [name]}
        yield glb_case(f"that uses {name}", b)
    b = simple()
    b.tree["meshes"][0]["primitives"][0]["extensions"] = {
        "KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}
    }
    del b.tree["accessors"][0]["bufferView"], b.tree["accessors"][1]["bufferView"]
    yield glb_case("compressed, though nothing is required", b, False)
    yield glb_case("with a morph target that is on", simple(mesh={"weights": [0.5]}), False)
    yield glb_case("with a morph target that is off", simple(mesh={"weights": [0, 0]}))
    yield glb_case("with a skeleton", simple(node={"skin": 0, "scale": [0.01] * 3}), False)
    yield glb_case("with an index too large", simple(triangles=[0, 1, 200]), False)
    for name, material in {"": {}, " without metal": {"pbrMetallicRoughness": {"metallicFactor": 0}}}.items():
        b = simple()
        b.tree["materials"], b.tree["meshes"][0]["primitives"][0]["material"] = [material], 0
        yield glb_case(f"with a material{name}", b)
    data = simple().glb()
    for name, damaged in {
        "cut": data[:-50],
        "half": data[: len(data) // 2],
        "header alone": data[:12],
        "longer": data + b"\0" * 8,
    }.items():
        yield Case(f"glb {name}", {"a.glb": damaged}, False)
    yield Case("glb of version 1", {"a.glb": data[:4] + struct.pack("<I", 1) + data[8:]}, False)
    yield Case("GLB", {"A.GLB": data})
    b = simple()
    uri = "data:application/octet-stream;base64," + base64.b64encode(b.buffer).decode()
    yield Case("gltf with its data", {"a.gltf": b.gltf(uri)})
    yield Case("gltf with a file", {"a.gltf": b.gltf("a.bin"), "a.bin": b.buffer})
    yield Case("gltf with a name of blanks", {"a.gltf": b.gltf("a%20b.bin"), "a b.bin": b.buffer})
    yield Case("gltf without its file", {"a.gltf": b.gltf("a.bin")}, False)
    yield Case("gltf with a short file", {"a.gltf": b.gltf("a.bin"), "a.bin": b.buffer[:-40]}, False)
    yield Case("gltf with bom", {"a.gltf": b"\xef\xbb\xbf" + b.gltf(uri)}, False)


# ---- names that tell another format, and other things ---------------------------------------------------------------


def other_cases():
    contents = {
        "obj": obj_text().encode(),
        "ply": ply(),
        "binary ply": ply("binary_little_endian"),
        "stl": stl_text().encode(),
        "binary stl": stl_bytes(),
        "off": off_text().encode(),
        "glb": simple().glb(),
    }
    for (name, data), suffix in itertools.product(contents.items(), ("obj", "ply", "stl", "off", "glb", "gltf", "txt")):
        if name.split()[-1] != suffix:
            yield Case(f"{name} called .{suffix}", {f"a.{suffix}": data}, False, False)
    for suffix in ("obj", "ply", "stl", "off", "glb", "gltf"):
        for name, data in {
            "nothing": b"",
            "zeros": b"\0" * 500,
            "a page": b"<!DOCTYPE html><html>no such file</html>",
        }.items():
            yield Case(f"{name} called .{suffix}", {f"a.{suffix}": data}, False, False)
        yield Case(f"noise called .{suffix}", {f"a.{suffix}": np.random.default_rng(0).bytes(3000)}, False, False)


def hostile_cases():
    """Counts and loops that a reader might follow without end."""
    many = b"99999999999"
    yield Case("ply of a vertex count beyond all", {"a.ply": ply().replace(b"vertex 49", b"vertex " + many)}, False)
    binary = ply("binary_little_endian")
    yield Case(
        "binary ply of a vertex count beyond all", {"a.ply": binary.replace(b"vertex 49", b"vertex " + many)}, False
    )
    yield Case("ply whose header has no end", {"a.ply": b"ply\nformat ascii 1.0\n" + b"comment x\n" * 50_000}, False)
    yield Case(
        "off of a vertex count beyond all", {"a.off": off_text().replace("49 ", "99999999999 ", 1).encode()}, False
    )
    yield Case("obj of an index beyond all", {"a.obj": (obj_text() + "f 99999999999999999999 1 2\n").encode()}, False)
    soup = "".join(f"usemtl m{i}\nf -1 -2 -3\n" for i in range(5000))
    yield Case("obj of many materials", {"a.obj": (obj_text() + soup.replace("-1 -2 -3", "1 2 9")).encode()})
    polygon = "f " + "1 2 9 " * 50_000
    yield Case("obj of a polygon of many corners", {"a.obj": f"{obj_text()}{polygon}\n".encode()}, False)
    yield Case("stl that begins without end", {"a.stl": b"solid a\n" * 5000}, False)
    b = simple()
    b.tree["nodes"][0]["children"] = [0]
    yield glb_case("whose nodes go round", b, False)
    yield glb_case("of a count beyond all", simple(place={"count": 10**12}), False)


def all_cases():
    makers = (obj_cases, ply_cases, stl_cases, off_cases, gltf_cases, unusual_gltf_cases, other_cases, hostile_cases)
    return [case for maker in makers for case in maker()]
