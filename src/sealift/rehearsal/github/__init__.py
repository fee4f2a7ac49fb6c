"""A stand-in for GitHub's REST interface: releases, their assets, and tags, on loopback.

    python -m sealift.rehearsal.github --dir DIR --port 8000 --repository owner/name --token-file FILE

It follows the published description (https://docs.github.com/rest/releases) as far as a release asks
for it, and refuses what GitHub refuses. What it keeps is in DIR, and there again at the next start.
"""
