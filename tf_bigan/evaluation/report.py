"""Reading an evaluation report; needs no TensorFlow."""


def accuracy(report, metric="knn", encoder="trained", layer="penultimate", distance="euclidean", k=1):
    """One accuracy in percent from a report, or None. The defaults are the paper's (Table 1)."""
    for row in report["results"].get(metric, []):
        found = (row["encoder"], row["layer"], row.get("metric"), row.get("k"))
        if found == (encoder, layer, *((distance, k) if metric == "knn" else (None, None))):
            return row["accuracy"]
    return None


def table(report) -> str:
    """The report's results as text for a person."""
    lines = []
    if rows := report["results"].get("knn"):
        columns = sorted({(row["metric"], row["k"]) for row in rows}, key=lambda c: (c[0] != "euclidean", c[1]))
        lines.append(f"{'k-NN accuracy, %':34}" + "".join(f"{f'{metric} k={k}':>16}" for metric, k in columns))
        for space in dict.fromkeys((row["encoder"], row["layer"], row["dimensions"]) for row in rows):
            values = {
                (row["metric"], row["k"]): row["accuracy"]
                for row in rows
                if (row["encoder"], row["layer"], row["dimensions"]) == space
            }
            lines.append(_space(space) + "".join(f"{values[column]:16.2f}" for column in columns))
        lines.append("")
    if rows := report["results"].get("linear"):
        lines.append("linear probe accuracy, %")
        for row in rows:
            mark = "" if row["converged"] else "  (stopped at the iteration limit)"
            lines.append(_space((row["encoder"], row["layer"], row["dimensions"])) + f"{row['accuracy']:16.2f}{mark}")
        lines.append("")
    if errors := report["results"].get("reconstruction"):
        lines.append(f"{'reconstruction error':34}{'paired':>16}{'shuffled':>16}")
        for name, of in (("EGr", "images (EGr, EGr_b)"), ("EGg", "samples (EGg, EGg_b)")):
            if name in errors:
                lines.append(f"  {of:32}{errors[name]:16.3f}{errors[f'{name}_b']:16.3f}")
        lines.append("")
    if distances := report["results"].get("nnd"):
        lines.append("distance to the nearest sample")
        lines += [f"  {name:32}{value:16.3f}" for name, value in distances.items()]
    return "\n".join(lines).rstrip()


def _space(space):
    encoder, layer, dimensions = space
    name = encoder if encoder == "pixels" else f"{encoder} {layer}"
    return f"  {f'{name} ({dimensions})':32}"
