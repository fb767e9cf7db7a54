"""A small neural network as an ONNX file, written without any library: two layers of whole numbers.

Every product and sum is a whole number below 2^24, so that float32 holds it exactly: the result does not depend on the order in
which threads add, and two runs can be compared byte by byte.
"""

import struct

INPUTS, HIDDEN, OUTPUTS, ROWS = 512, 1024, 512, 32


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def data(field: int, value) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def weights(name: str, rows: int, columns: int) -> bytes:
    """A TensorProto: float32, values from -2 to 2."""
    state, values = len(name) + rows, []
    for _ in range(rows * columns):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        values.append(float((state >> 16) % 5 - 2))
    raw = struct.pack(f"<{len(values)}f", *values)
    return number(1, rows) + number(1, columns) + number(2, 1) + data(8, name) + data(9, raw)


def value(name: str, rows: int, columns: int) -> bytes:
    """A ValueInfoProto: a float32 tensor of this shape."""
    shape = b"".join(data(1, number(1, size)) for size in (rows, columns))
    return data(1, name) + data(2, data(1, number(1, 1) + data(2, shape)))


def node(kind: str, inputs: list, output: str) -> bytes:
    return b"".join(data(1, name) for name in inputs) + data(2, output) + data(4, kind)


def onnx() -> bytes:
    """The ModelProto: y = relu(x · first) · second."""
    graph = b"".join([
        data(1, node("MatMul", ["x", "first"], "sum")),
        data(1, node("Relu", ["sum"], "hidden")),
        data(1, node("MatMul", ["hidden", "second"], "y")),
        data(2, "two-layers"),
        data(5, weights("first", INPUTS, HIDDEN)),
        data(5, weights("second", HIDDEN, OUTPUTS)),
        data(11, value("x", ROWS, INPUTS)),
        data(12, value("y", ROWS, OUTPUTS)),
    ])
    return number(1, 8) + data(7, graph) + data(8, data(1, "") + number(2, 13))
