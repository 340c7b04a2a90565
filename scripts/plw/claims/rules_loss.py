"""The diagnostic about the implementation (§4.1): PLW 0 is masking, PLW 1 is the plain language model loss."""

from collections.abc import Mapping

import numpy as np

from plw.claims.evidence import Evidence
from plw.claims.findings import Measured, Undecided, region_of


def masking(evidence: Evidence, parameters: Mapping) -> Measured:
    """C38: largest difference of loss and gradient from cross-entropy with prompt labels of -100 (PLW 0) and all (1)."""
    if evidence.loss is None:
        raise Undecided("The loss was not tried (no file of its differences).")
    return Measured(np.array([max(evidence.loss.values())]), region_of(parameters), None, dict(evidence.loss))
