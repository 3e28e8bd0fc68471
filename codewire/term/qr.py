"""QR codes for terminals (ISO/IEC 18004): a text in, half blocks out. Byte mode, level M.

Two modules a cell, dark ones as blanks: terminals are dark, and scanners read either way round.
"""

from __future__ import annotations

from itertools import accumulate

QUIET = 4
# Of level M, by version from 1: check bytes of each block, and the blocks' data bytes. Version 10
# holds 213 bytes, more than any URL of ours.
CHECK_BYTES = (10, 16, 26, 18, 24, 16, 18, 22, 22, 26)
BLOCKS: tuple[tuple[int, ...], ...] = (
    (16,), (28,), (44,), (32,) * 2, (43,) * 2, (27,) * 4, (31,) * 4,
    (38, 38, 39, 39), (36, 36, 36, 37, 37), (43,) * 4 + (44,),
)  # fmt: skip
ALIGNMENT = (
    (), (6, 18), (6, 22), (6, 26), (6, 30), (6, 34),
    (6, 22, 38), (6, 24, 42), (6, 26, 46), (6, 28, 50),
)  # fmt: skip
LEVEL_M = 0
# Generators and mask of the codes that guard format and version (annexes C and D).
FORMAT_GENERATOR, FORMAT_MASK, VERSION_GENERATOR = 0x537, 0x5412, 0x1F25
FIELD = 0x11D
PAD = (0xEC, 0x11)


def half_blocks(text: str) -> str:
    """Return the code as lines. Raises ValueError for a text of more than 213 bytes."""
    modules = encode(text.encode())
    size = len(modules)
    light = [True] * (size + 2 * QUIET)
    rows = [
        *[light] * QUIET,
        *([True] * QUIET + [not dark for dark in row] + [True] * QUIET for row in modules),
        *[light] * QUIET,
    ]
    if len(rows) % 2:
        rows.append([False] * len(light))
    cells = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
    return "\n".join(
        "".join(cells[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    )


def encode(data: bytes, mask: int | None = None) -> list[list[bool]]:
    """Return the modules, True for dark, under the best mask unless told. Raises ValueError."""
    version = _version_for(len(data))
    grid = _Grid(version)
    grid.draw_data(_codewords(data, version))
    if mask is None:
        mask = min(range(8), key=lambda one: _penalty(grid.masked(one)))
    return grid.masked(mask)


def _version_for(length: int) -> int:
    for version in range(1, len(BLOCKS) + 1):
        header = 4 + (8 if version < 10 else 16)
        if header + 8 * length <= 8 * _capacity(version):
            return version
    raise ValueError("too long for a QR code of ours")


def _capacity(version: int) -> int:
    return sum(BLOCKS[version - 1])


def _codewords(data: bytes, version: int) -> bytes:
    """Return data and check bytes, interleaved by block (8.5, 8.6)."""
    bits = [0, 1, 0, 0] + _bits(len(data), 8 if version < 10 else 16)
    for byte in data:
        bits += _bits(byte, 8)
    capacity = _capacity(version)
    bits += [0] * min(4, 8 * capacity - len(bits))
    bits += [0] * (-len(bits) % 8)
    whole = bytearray(int("".join(map(str, bits[at : at + 8])), 2) for at in range(0, len(bits), 8))
    whole += bytes(PAD[at % 2] for at in range(capacity - len(whole)))
    check_size = CHECK_BYTES[version - 1]
    ends = list(accumulate(BLOCKS[version - 1], initial=0))
    blocks = [bytes(whole[start:end]) for start, end in zip(ends, ends[1:], strict=False)]
    checks = [_check_bytes(block, check_size) for block in blocks]
    longest = max(map(len, blocks))
    mixed = [b[i] for i in range(longest) for b in blocks if i < len(b)]
    return bytes(mixed + [c[i] for i in range(check_size) for c in checks])


def _bits(value: int, count: int) -> list[int]:
    return [(value >> at) & 1 for at in range(count - 1, -1, -1)]


def _multiply(a: int, b: int) -> int:
    """Multiply in the field of 256 elements."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (FIELD if a & 0x80 else 0)
        b >>= 1
    return product


def _check_bytes(block: bytes, count: int) -> bytes:
    """Return the Reed-Solomon remainder (8.5.2)."""
    generator, root = [1], 1
    for _ in range(count):
        longer = [*generator, 0]
        for at, factor in enumerate(generator):
            longer[at + 1] ^= _multiply(factor, root)
        generator, root = longer, _multiply(root, 2)
    rest = list(block) + [0] * count
    for at in range(len(block)):
        factor = rest[at]
        for offset, coefficient in enumerate(generator):
            rest[at + offset] ^= _multiply(coefficient, factor)
    return bytes(rest[len(block) :])


class _Grid:
    """The modules of one code: None where data goes."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.size = 17 + 4 * version
        self.fixed: list[list[bool | None]] = [[None] * self.size for _ in range(self.size)]
        self.data: dict[tuple[int, int], bool] = {}
        for row, column in ((0, 0), (0, self.size - 7), (self.size - 7, 0)):
            self._draw_finder(row, column)
        self._draw_alignments()
        for at in range(8, self.size - 8):
            self.fixed[6][at] = self.fixed[at][6] = at % 2 == 0
        self._draw_format(0)
        self._draw_version()

    def _draw_finder(self, row: int, column: int) -> None:
        for y in range(-1, 8):
            for x in range(-1, 8):
                if 0 <= row + y < self.size and 0 <= column + x < self.size:
                    ring = max(abs(y - 3), abs(x - 3))
                    self.fixed[row + y][column + x] = ring not in (2, 4)

    def _draw_alignments(self) -> None:
        centres = ALIGNMENT[self.version - 1]
        for row in centres:
            for column in centres:
                if self.fixed[row][column] is not None:
                    continue
                for y in range(-2, 3):
                    for x in range(-2, 3):
                        self.fixed[row + y][column + x] = max(abs(y), abs(x)) != 1

    def _draw_format(self, mask: int) -> None:
        value = LEVEL_M << 3 | mask
        guarded = (value << 10 | _remainder(value << 10, FORMAT_GENERATOR)) ^ FORMAT_MASK
        for at in range(15):
            dark = bool(guarded >> at & 1)
            # Once beside the upper left finder, once shared by the two others (8.9).
            row = at if at < 6 else at + 1 if at < 8 else self.size - 15 + at
            self.fixed[row][8] = dark
            column = self.size - 1 - at if at < 8 else 15 - at if at == 8 else 14 - at
            self.fixed[8][column] = dark
        self.fixed[self.size - 8][8] = True

    def _draw_version(self) -> None:
        if self.version < 7:
            return
        guarded = self.version << 12 | _remainder(self.version << 12, VERSION_GENERATOR)
        for at in range(18):
            dark = bool(guarded >> at & 1)
            near, far = at // 3, self.size - 11 + at % 3
            self.fixed[near][far] = self.fixed[far][near] = dark

    def draw_data(self, codewords: bytes) -> None:
        """Place the bits, two columns at a time, up and down from the right (8.7.3)."""
        bits = [bit for byte in codewords for bit in _bits(byte, 8)]
        places = (
            (row, column - side)
            for turn, column in enumerate((*range(self.size - 1, 6, -2), *range(5, 0, -2)))
            for row in (range(self.size) if turn % 2 else range(self.size - 1, -1, -1))
            for side in (0, 1)
            if self.fixed[row][column - side] is None
        )
        for at, place in enumerate(places):
            self.data[place] = at < len(bits) and bool(bits[at])

    def masked(self, mask: int) -> list[list[bool]]:
        """Return all modules under a mask."""
        self._draw_format(mask)
        rows = [[bool(dark) for dark in row] for row in self.fixed]
        for (row, column), dark in self.data.items():
            rows[row][column] = dark ^ _is_inverted(mask, row, column)
        return rows


def _remainder(value: int, generator: int) -> int:
    length = generator.bit_length()
    while value.bit_length() >= length:
        value ^= generator << value.bit_length() - length
    return value


def _is_inverted(mask: int, row: int, column: int) -> bool:
    product = row * column
    rule = (
        (row + column) % 2,
        row % 2,
        column % 3,
        (row + column) % 3,
        (row // 2 + column // 3) % 2,
        product % 2 + product % 3,
        (product % 2 + product % 3) % 2,
        ((row + column) % 2 + product % 3) % 2,
    )
    return rule[mask] == 0


def _penalty(rows: list[list[bool]]) -> int:
    """Return how hard a code is to read (8.8.2)."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    total = 0
    for line in (*rows, *columns):
        text = "".join("#" if dark else "." for dark in line)
        total += sum(len(run) - 2 for run in _runs(text) if len(run) >= 5)
        total += 40 * sum(
            text.startswith(("#.###.#....", "....#.###.#"), at) for at in range(len(text) - 10)
        )
    for upper, lower in zip(rows, rows[1:], strict=False):
        for at in range(len(upper) - 1):
            total += 3 * (upper[at] == upper[at + 1] == lower[at] == lower[at + 1])
    dark = sum(map(sum, rows))
    return total + 10 * (abs(20 * dark - 10 * len(rows) ** 2) // len(rows) ** 2)


def _runs(text: str) -> list[str]:
    return text.replace("#.", "# .").replace(".#", ". #").split()
