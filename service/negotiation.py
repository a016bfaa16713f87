"""Which media type an answer has: the client's `Accept` against what there is."""

from collections.abc import Sequence

from service.problems import NotAcceptable


def negotiated(accept: str | None, offers: Sequence[str]) -> str:
    """Return the offer that the client likes best.

    Among offers liked alike, one that is named wins over one that a wildcard lets in, then the
    first.

    Args:
        accept: Value of the `Accept` header; None or empty is anything.
        offers: Media types, best first.

    Raises:
        NotAcceptable: The client wants none of them.

    Source:
        RFC 9110, section 12.5.1.
    """
    ranges = [_media_range(text) for text in (accept or "*/*").split(",") if text.strip()]
    best = max(offers, key=lambda offer: _liking(offer, ranges))
    if _liking(best, ranges)[0] == 0:
        raise NotAcceptable(f"The answer can be had as {' or '.join(offers)}.")
    return best


def _media_range(text: str) -> tuple[str, float]:
    """Return a media range in lower case and its quality; one that can't be read counts 0."""
    media_range, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            return media_range, _quality(parameter.removeprefix("q="))
    return media_range, 1.0


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def _liking(offer: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """Return quality and specificity of the most specific range that the offer is in."""
    for specificity, wanted in ((2, offer), (1, f"{offer.split('/')[0]}/*"), (0, "*/*")):
        qualities = [quality for media_range, quality in ranges if media_range == wanted]
        if qualities:
            return max(qualities), specificity
    return 0.0, 0
