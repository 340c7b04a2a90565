"""What the paper says about the best prompt loss weight for a ratio R_g: Table 5, λ and its text.

The numbers are those of config/paper_numbers.yaml, here because the installed package has no configuration; a test
holds them equal. All are of LLaMA 1 and 2 with 7 billion parameters, fine-tuned in full on AlpacaData and its variants.
"""

from plw.scores.transform import from_w_p, to_w_p

# Table 5: R_g -> (All, MC, Gen), each the best PLW and whether it is starred: the predictions differ by less than 5 %
# of the range of scores, so that the weight hardly matters.
TABLE_5 = {
    8.0: ((1.0, True), (1.0, True), (0.654, False)),
    7.5: ((1.0, True), (1.0, True), (1.0, True)),
    7.0: ((1.0, True), (1.0, True), (1.0, True)),
    6.5: ((1.0, True), (1.0, True), (1.0, True)),
    6.0: ((1.0, True), (1.0, True), (0.0, True)),
    5.5: ((1.0, True), (1.0, True), (0.0, True)),
    5.0: ((0.0, True), (1.0, True), (0.0, True)),
    4.5: ((0.0, True), (1.0, True), (0.0, True)),
    4.0: ((1.0, True), (1.0, True), (0.0, True)),
    3.5: ((1.0, True), (1.0, True), (0.0, True)),
    3.0: ((1.0, True), (1.0, True), (1.0, True)),
    2.5: ((1.0, True), (1.0, True), (1.0, True)),
    2.0: ((0.239, False), (1.0, True), (0.679, False)),
    1.5: ((0.183, False), (0.278, False), (0.385, False)),
    1.0: ((0.155, False), (0.183, False), (0.321, False)),
    0.5: ((0.155, False), (0.155, False), (0.292, False)),
}
COLUMNS = ("All", "MC", "Gen")
PURPOSES = {"all": "All", "multiple_choice": "MC", "generation": "Gen"}  # of a user -> column
SHORT_BELOW = 1.0  # §2.1: R_g < 1 is short-completion data
RATIOS = (0.042, 7.83)  # App. D: lowest and highest R_g of the data that the GAMs saw
CRITICAL = 0.242  # §5.2: λ of AlpacaDataShort, all benchmarks
CRITICAL_RATIO = 0.082  # §4.3: its R_g
SMALL = (0.01, 0.5)  # abstract: better on multiple choice and short generation, for short-completion data
LONG = 1.0  # abstract: about the best for long generation, for short-completion data


def table_5_at(r_g: float, column: str) -> dict:
    """Table 5 at any ratio: {plw, starred, held, rows}.

    r_g     > 0; column: All, MC or Gen
    Between two rows without a star the weight is interpolated in w_p, on whose grid the paper searched; where one of
    them has a star, the nearer row counts (the lower one in the middle). Beyond the table its end is held, which `held`
    says.
    """
    place = COLUMNS.index(column)
    ratios = sorted(TABLE_5)
    if r_g <= ratios[0] or r_g >= ratios[-1]:
        row = ratios[0] if r_g <= ratios[0] else ratios[-1]
        plw, starred = TABLE_5[row][place]
        return {"plw": plw, "starred": starred, "held": r_g != row, "rows": [row]}
    below = max(ratio for ratio in ratios if ratio <= r_g)
    above = min(ratio for ratio in ratios if ratio >= r_g)
    (low, low_star), (high, high_star) = TABLE_5[below][place], TABLE_5[above][place]
    share = 0.0 if above == below else (r_g - below) / (above - below)
    if low_star or high_star:
        row = below if share <= 0.5 else above
        plw, starred = TABLE_5[row][place]
        return {"plw": plw, "starred": starred, "held": False, "rows": [row]}
    plw = from_w_p(to_w_p(low) * (1 - share) + to_w_p(high) * share)
    return {"plw": plw, "starred": False, "held": False, "rows": sorted({below, above})}


def paper_answer(r_g: float, purpose: str) -> dict:
    """The paper's weight for data of this ratio and this purpose.

    r_g      ratio of mean tokens, > 0; purpose: a key of PURPOSES
    Returns plw (None where the paper says that it hardly matters), low and high (the span of the paper's own numbers:
    it prints no interval), matters, table_5 (`table_5_at`), reasons (sentences).
    """
    found = table_5_at(r_g, PURPOSES[purpose])
    short = r_g < SHORT_BELOW
    reasons = [_table_words(r_g, found, PURPOSES[purpose])]
    if found["starred"]:
        reasons.append("There its predictions over all weights differ by less than 5 % of the range of scores.")
        return {"plw": None, "low": 0.0, "high": 1.0, "matters": False, "table_5": found, "reasons": reasons}
    plw, low, high = found["plw"], found["plw"], found["plw"]
    if short and purpose == "generation":
        # Table 5's Gen has TruthfulQA-Gen's short answers in it; AlpacaEval and PandaLM alone are best near 1 (App. B).
        high = LONG
        reasons.append(
            "For long answers alone (AlpacaEval, PandaLM) the paper's scores rise up to PLW 1 (§5.2, abstract); its Gen"
            " column also counts the short answers of TruthfulQA."
        )
    elif short:
        low, high = SMALL
        reasons.append(f"For short completions the paper recommends weights from {SMALL[0]} to {SMALL[1]} (abstract).")
        if purpose == "all":
            reasons.append(
                f"Its regression on AlpacaDataShort (R_g {CRITICAL_RATIO}) is best at λ = {CRITICAL} (§5.2)."
            )
    else:
        others = [table_5_at(r_g, column) for column in COLUMNS]
        weights = [other["plw"] for other in others if not other["starred"]]
        low, high = min(weights), max(weights)
        reasons.append("The span is that of its columns All, MC and Gen.")
    return {"plw": plw, "low": low, "high": high, "matters": True, "table_5": found, "reasons": reasons}


def _table_words(r_g: float, found: dict, column: str) -> str:
    rows = " and ".join(f"{row:g}" for row in found["rows"])
    star = "*" if found["starred"] else ""
    place = "at" if len(found["rows"]) == 1 else "between"
    said = f"The paper's Table 5, column {column}, gives {found['plw']:.3g}{star} {place} R_g {rows}"
    if not found["held"]:
        return f"{said}."
    beyond = r_g < RATIOS[0] or r_g > RATIOS[1]
    return f"{said}, its end" + ("; your ratio lies beyond the paper's data." if beyond else ".")
