"""Thresholds of models that were not measured: those of the committed card."""

NOT_MEASURED = "Not measured: taken over from the detector of models/. Measure it on your own views before rules rely on it."


def taken_over(ours, names):
    """The groups of the card `ours` with those labels that are in `names`."""
    groups = {}
    for group, thresholds in ours["thresholds"]["groups"].items():
        labels = [label for label in thresholds["labels"] if label in names]
        if labels:
            groups[group] = {**thresholds, "labels": labels, "reason": NOT_MEASURED}
    return groups
