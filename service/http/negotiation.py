"""Which media type an answer has: the client's `Accept` against what there is."""

from collections.abc import Sequence

from service.problems import NotAcceptable


def negotiated(accept: str | None, offers: Sequence[str]) -> str:
    """Return the offer that the client likes best.

    Among offers liked alike, one that is named wins over one that a wildcard lets in, then the
    first.

    Args:
        accept: Value of the `Accept` header; None or empty is anything.
        offers: Media types, best first; one of `multipart/related` with what its parts are, as in
            `multipart/related; type="application/dicom"`.

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
    """Return a media range in lower case and its quality; one that can't be read counts 0.

    Parameters are left out, but for the one that says what the parts of `multipart/related` are.
    """
    media_range, *rest = (part.strip().lower() for part in text.split(";"))
    parameters = dict(one.split("=", 1) for one in rest if "=" in one)
    if media_range == "multipart/related" and "type" in parameters:
        kind = parameters["type"].strip('"')
        media_range = f'{media_range}; type="{kind}"'
    return media_range, _quality(parameters.get("q", "1"))


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def _liking(offer: str, ranges: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """Return quality and specificity of the most specific range that the offer is in."""
    wider = (offer.split(";")[0], f"{offer.split('/')[0]}/*", "*/*")
    for specificity, wanted in zip((3, 2, 1, 0), (offer, *wider), strict=True):
        qualities = [quality for media_range, quality in ranges if media_range == wanted]
        if qualities:
            return max(qualities), specificity
    return 0.0, 0
