"""How long a release takes, beside what: ratios taken inside one run (docs/performance.md)."""
