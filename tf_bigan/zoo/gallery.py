"""A static page of a zoo: pictures, numbers beside baselines, sizes and terms. Imports no TensorFlow by itself."""

import html
import os
import pathlib
import shutil

from tf_bigan.errors import InputError
from tf_bigan.files import write_text
from tf_bigan.zoo.describing import baselines_text, classifier_rows, data_of, fact_rows, training_of
from tf_bigan.zoo.finding import place_of
from tf_bigan.zoo.index import CLASSIFIER, MODEL, entries_of
from tf_bigan.zoo.model_facts import facts_of

PAGE = "index.html"

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
th { white-space: nowrap; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
article { border: 1px solid var(--line); border-radius: .5rem; margin: 1.25rem 0; padding: 1rem; }
article > * { margin: .6rem 0; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; flex: 1 1 18rem; min-width: 0; max-width: 36rem; }
figure img { width: 100%; height: auto; image-rendering: pixelated; background: #fff; }
figcaption { font-size: .8rem; opacity: .75; }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; border-radius: .3rem; font-size: .8125rem; }
article td { overflow-wrap: anywhere; }
"""

_CAPTIONS = {
    "samples.png": "Samples of the generator",
    "reconstructions.png": "Unseen examples, with their reconstructions to the right",
}


def write_gallery(zoo=None, output=None) -> pathlib.Path:
    """Writes a page about all entries of a zoo, with its pictures beside it, and returns the page's path.

    Args:
      zoo: the zoo's folder; None = the project's own.
      output: the folder of the page; None = that of the zoo, whose pictures are then not copied.

    Raises:
      InputError: the folder has no entries, an entry is damaged, or the page cannot be written.
    """
    folder = place_of(zoo, "name")[0].parent
    output = pathlib.Path(os.path.expanduser(output)) if output else folder
    kinds = entries_of(folder)
    if not kinds:
        raise InputError(f"{folder} has no entries of a zoo")
    models = [facts_of(folder / name, place_of(zoo, name)[1]) for name, kind in kinds.items() if kind == MODEL]
    models.sort(key=lambda facts: (not facts.bytes, facts.path.name))  # what can be loaded comes first
    if output.resolve() != folder.resolve():
        _copy_pictures(models, output)
    classifiers = [(name, classifier_rows(folder / name)) for name, kind in kinds.items() if kind == CLASSIFIER]
    rows = "\n".join(map(_row, models))
    articles = "\n".join(map(_article, models))
    write_text(
        output / PAGE,
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tf_bigan: the zoo</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>tf_bigan: the zoo</h1>
<p>{len(models)} models, {sum(bool(facts.bytes) for facts in models)} of them with weights. A number stands beside those
of the same network before training and of raw examples.</p>
<div class="scroll">
<table>
<tr><th>model</th><th>data</th><th>size</th><th>number</th><th>value</th><th>beside</th></tr>
{rows}
</table>
</div>
{articles}
{_classifiers(classifiers)}</body>
</html>
""",
    )
    return output / PAGE


def _copy_pictures(models, output):
    """Copies the models' pictures into folders of the page."""
    try:
        for facts in models:
            for picture in facts.pictures:
                (output / facts.path.name).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(facts.path / picture, output / facts.path.name / picture)
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror}") from None


def _row(facts):
    """A model's line in the table."""
    name = html.escape(facts.path.name)
    headline = next(iter(facts.headlines.values()), None)
    size = f"{sum(facts.bytes.values()) / 1e6:.1f} MB" if facts.bytes else "no weights"
    cells = [f'<a href="#{name}">{name}</a>', html.escape(data_of(facts)), size]
    if headline:
        value = f"{headline.value:.{headline.digits}f}" + (f" ({headline.layer})" if headline.layer else "")
        numbers = [html.escape(text) for text in (headline.title, value, baselines_text(headline))]
    else:
        numbers = [html.escape(training_of(facts)), "", ""]
    cells = "".join(f"<td>{cell}</td>" for cell in cells)
    return (
        f"<tr>{cells}<td>{numbers[0]}</td>"
        + "".join(f'<td class="number">{text}</td>' for text in numbers[1:])
        + "</tr>"
    )


def _article(facts):
    """A model's section of the page."""
    name = html.escape(facts.path.name)
    figures = "\n".join(
        f'<figure><img src="{name}/{picture}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
        for picture, caption in _CAPTIONS.items()
        if picture in facts.pictures
    )
    rows = "\n".join(
        f"<tr><th>{html.escape(head)}</th><td>{html.escape(text)}</td></tr>" for head, text in fact_rows(facts)
    )
    fresh = "" if facts.bytes else ", weights=None"
    load = html.escape(f'model = tf_bigan.load("{facts.name}"{fresh})')
    return f"""<article id="{name}">
<h2>{name}</h2>
<div class="pictures">
{figures}
</div>
<div class="scroll"><table>
{rows}
</table></div>
<pre>{load}</pre>
</article>"""


def _classifiers(found):
    """The table of the classifiers; empty without any."""
    if not found:
        return ""
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in ("", *(head for head, _ in found[0][1])))
    cells = [(name, *(text for _, text in rows)) for name, rows in found]
    rows = "\n".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in cells)
    return f"""<article>
<h2>Classifiers, which judge samples</h2>
<div class="scroll"><table>
<tr>{heads}</tr>
{rows}
</table></div>
</article>
"""
