"""The claim about the implementation (§4.1): PLW 0 is masking, PLW 1 is the plain language model loss."""

from collections.abc import Mapping

from plw.claims.evidence import Evidence
from plw.claims.findings import Finding, Undecided, judged


def masking(evidence: Evidence, parameters: Mapping) -> Finding:
    """C38: loss and gradient equal cross-entropy with prompt labels of -100 (PLW 0) and with all labels (PLW 1)."""
    if evidence.loss is None:
        raise Undecided("The loss was not tried (no file of its differences).")
    largest = max(evidence.loss.values())
    reason = f"Largest difference {largest:.1e}; asked: under {parameters['tolerance']:g} in float32."
    return judged(largest < parameters["tolerance"], reason, dict(evidence.loss))
