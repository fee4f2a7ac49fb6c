"""The report as Markdown: the GitHub step summary, and ``summary.md``."""

from __future__ import annotations

import re
from collections import Counter

import jinja2

from sealift import texts
from sealift.report.collect import Report

VERDICTS = ("pass", "excused", "refused", "not-checked")
TEMPLATE = """\
# {{ r.outcome|markdown }}: {{ r.version|markdown }} ({{ r.world }})

Commit {{ r.commit|markdown }}, {{ "%.1f"|format(r.seconds) }} s.
{% if r.left_out %}
Left out, because the release is built from the commit: {{ r.left_out|map("markdown")|join(", ") }}.
{% endif %}
{% for variant, image in r.images.items() %}
## {{ variant|markdown }}

{{ (image.repository ~ "@" ~ image.digest)|markdown }}
{%- if image.tags %}, tags {{ image.tags|map("markdown")|join(", ") }}{% endif %}


| platform | digest | compressed |
|---|---|---|
{% for name, built in image.platforms.items() -%}
| {{ name|markdown }} | {{ built.digest|markdown }} | {{ "%.2f"|format(built.compressed_bytes / 1e6) }} MB |
{% endfor %}
{% endfor %}
## Gates

| station | pass | excused | refused | not checked |
|---|---|---|---|---|
{% for station, count in counts.items() -%}
| {{ station|markdown }} {% for verdict in verdicts %}| {{ count[verdict] }} {% endfor %}|
{% endfor %}
{% for gate in r.gates if gate.verdict != "pass" -%}
- **{{ gate.verdict }}** {{ gate.station|markdown }} {{ gate.subject|markdown }}: {{ gate.detail|markdown }}
{% endfor %}
## Signatures

{{ r.signatures|length }} in the registry, {{ r.made.signatures }} made by this run.
It uploaded {{ r.made.assets }} assets and put {{ r.made.tags }} tags.
{% if r.exceptions %}
## Exceptions

{% for line in r.exceptions -%}
- {{ line|markdown }}
{% endfor %}
{% endif %}
{%- if r.weaker %}
## Weaker than the default

{% for line in r.weaker -%}
- {{ line|markdown }}
{% endfor %}
{% endif %}
## Policy since {{ (r.policy.since or "the last release")|markdown }}

{% for line in r.policy.lines() -%}
- {{ line|markdown }}
{% endfor %}

{%- if r.stand_ins %}
## Stand-ins

{% for line in r.stand_ins -%}
- {{ line|markdown }}
{% endfor %}
{% endif %}
{%- if r.cannot_show %}
## What a rehearsal cannot show

{% for line in r.cannot_show -%}
- {{ line|markdown }}
{% endfor %}
{% endif -%}
"""


def markdown(report: Report) -> str:
    """Render the report as Markdown."""
    counts: dict[str, Counter[str]] = {}
    for gate in report.gates:
        counts.setdefault(gate.station, Counter())[gate.verdict] += 1
    # This is no HTML; what Markdown would read in a text is kept from it by the filter.
    environment = jinja2.Environment(autoescape=False, trim_blocks=True, undefined=jinja2.StrictUndefined)  # noqa: S701
    environment.filters["markdown"] = lambda text: texts.markdown(str(text))
    text = environment.from_string(TEMPLATE).render(r=report, counts=counts, verdicts=VERDICTS)
    # A heading and a list need an empty line around them, and two are no better than one.
    spaced = re.sub(r"\n*(^#.*$|^(?:- .*\n?)+)\n*", r"\n\n\1\n\n", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", spaced).strip() + "\n"
