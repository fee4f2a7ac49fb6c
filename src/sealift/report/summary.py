"""The report as Markdown: the GitHub step summary, and ``summary.md``."""

from __future__ import annotations

import re
from collections import Counter

import jinja2

from sealift.report.collect import Report

VERDICTS = ("pass", "excused", "refused", "not-checked")
TEMPLATE = """\
# {{ r.outcome }}: {{ r.version }} ({{ r.world }})

Commit `{{ r.commit }}`, {{ "%.1f"|format(r.seconds) }} s.
{% if r.left_out %}
Left out, because the release is built from the commit: {{ r.left_out|join(", ") }}.
{% endif %}
{% for variant, image in r.images.items() %}
## {{ variant }}

`{{ image.repository }}@{{ image.digest }}`{% if image.tags %}, tags {{ image.tags|join(", ") }}{% endif %}


| platform | digest | compressed |
|---|---|---|
{% for platform, built in image.platforms.items() -%}
| {{ platform }} | `{{ built.digest }}` | {{ "%.2f"|format(built.compressed_bytes / 1e6) }} MB |
{% endfor %}
{% endfor %}
## Gates

| station | pass | excused | refused | not checked |
|---|---|---|---|---|
{% for station, count in counts.items() -%}
| {{ station }} {% for verdict in verdicts %}| {{ count[verdict] }} {% endfor %}|
{% endfor %}
{% for gate in r.gates if gate.verdict != "pass" -%}
- **{{ gate.verdict }}** {{ gate.station }} {{ gate.subject }}: {{ gate.detail }}
{% endfor %}
## Signatures

{{ r.signatures|length }} in the registry, {{ r.made.signatures }} made by this run.
It uploaded {{ r.made.assets }} assets and put {{ r.made.tags }} tags.
{% if r.exceptions %}
## Exceptions

{% for line in r.exceptions -%}
- {{ line }}
{% endfor %}
{% endif %}
{%- if r.weaker %}
## Weaker than the default

{% for line in r.weaker -%}
- {{ line }}
{% endfor %}
{% endif %}
## Policy since {{ r.policy.since or "the last release" }}

{% for line in r.policy.lines() -%}
- {{ line }}
{% endfor %}

{%- if r.stand_ins %}
## Stand-ins

{% for line in r.stand_ins -%}
- {{ line }}
{% endfor %}
{% endif %}
{%- if r.cannot_show %}
## What a rehearsal cannot show

{% for line in r.cannot_show -%}
- {{ line }}
{% endfor %}
{% endif -%}
"""


def markdown(report: Report) -> str:
    """Render the report as Markdown."""
    counts: dict[str, Counter[str]] = {}
    for gate in report.gates:
        counts.setdefault(gate.station, Counter())[gate.verdict] += 1
    # Markdown for a file and a step summary: nothing here is HTML that would need escaping.
    environment = jinja2.Environment(autoescape=False, trim_blocks=True, undefined=jinja2.StrictUndefined)  # noqa: S701
    text = environment.from_string(TEMPLATE).render(r=report, counts=counts, verdicts=VERDICTS)
    # A heading and a list need an empty line around them, and two are no better than one.
    spaced = re.sub(r"\n*(^#.*$|^(?:- .*\n?)+)\n*", r"\n\n\1\n\n", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", spaced).strip() + "\n"
