"""The power transform of the prompt loss weight (paper §4.1).

The ten weights of the paper crowd near zero; `w_p = plw ** p` spreads them almost evenly over [0, 1], and
every analysis uses w_p instead of the weight itself.
"""

POWER = 0.30103  # §4.1: chosen so that 0.1 ** p = 0.5; log10(2) to the five digits that the paper prints


def to_w_p(plw: float, *, power: float = POWER) -> float:
    """Transformed weight w_p in [0, 1] of a prompt loss weight in [0, 1].

    Raises ValueError outside [0, 1]: the transform maps that interval onto itself, and no other was studied.
    """
    if not 0.0 <= plw <= 1.0:
        raise ValueError(f"plw = {plw!r} is outside [0, 1]")
    return plw**power


def from_w_p(w_p: float, *, power: float = POWER) -> float:
    """Prompt loss weight in [0, 1] that `to_w_p` maps to `w_p`, itself in [0, 1].

    Raises ValueError outside [0, 1].
    """
    if not 0.0 <= w_p <= 1.0:
        raise ValueError(f"w_p = {w_p!r} is outside [0, 1]")
    return w_p ** (1.0 / power)
