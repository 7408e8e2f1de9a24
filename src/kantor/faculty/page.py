"""A ranking as a page of its own: the recommendation, then every score."""

from pathlib import Path

import jinja2

from kantor.core.files import write_text
from kantor.faculty.ranking import Interval, Ranking

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ranking for {{ r.data }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .25em .9em .25em 0; text-align: right }
th:first-child, td:first-child { text-align: left } th { border-bottom: 1px solid #999 }
.lead { font-size: 1.2em } .small { color: #666; font-size: .9em }
.bar { fill: #3a6ea5 } .whisker { stroke: #222 }
</style>
<h1>Which teacher for {{ r.data }}?</h1>
<p class="lead">{{ r.recommendation }}</p>
<p class="small">{{ "{:,}".format(r.samples) }} {{ r.part }} samples; label cost {{ r.label_cost }}; each score is
higher for a better teacher; 95 % bootstrap intervals over samples, paired for margins.</p>
{% for name, places in r.scores.items() %}
<h2>{{ name }}</h2>
<table><tr><th>teacher<th>score<th>interval<th>to the next<th>interval<th>seconds</tr>
{% for p in places %}<tr><td>{{ p.teacher }}<td>{{ "%.4g"|format(p.score) }}<td>{{ span(p.interval) }}
<td>{{ "" if p.margin is none else "%.3g"|format(p.margin) }}<td>{{ span(p.margin_interval) }}
<td>{{ "%.2f"|format(r.teacher(p.teacher).score_seconds.get(name, 0)) }}</tr>
{% endfor %}</table>
{% endfor %}
<h2>Teachers</h2>
<table><tr><th>teacher<th>model<th>forward passes<th>seconds<th></tr>
{% for t in r.teachers %}<tr><td>{{ t.name }}<td>{{ t.model }}<td>{{ "{:,}".format(t.passes) }}
<td>{{ "%.1f"|format(t.seconds) }}<td>{{ t.error or "" }}</tr>
{% endfor %}</table>
</html>
"""


def write_page(ranking: Ranking, path: Path) -> None:
    """Write the page: one file that needs nothing else."""
    template = jinja2.Environment(autoescape=True).from_string(_PAGE)
    write_text(path, template.render(r=ranking, span=span))


def span(interval: Interval) -> str:
    """An interval in words, empty where there is none."""
    return "" if interval is None else f"{interval[0]:.3g} to {interval[1]:.3g}"
