"""What a file that is no video is, by its first bytes."""

from __future__ import annotations

_PICTURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"8BPS", "Photoshop"),
)
_STILL_BRANDS = {b"avif": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF"}
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"v=0\r\n", b"v=0\n", b"[playlist]")


def describe_signature(head: bytes) -> str:
    """`a picture (PNG)`, `a playlist`, `a text`; empty for what may be a video."""
    picture = _picture(head)
    if picture:
        return f"a picture ({picture})"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(_PLAYLISTS):
        return "a list of other files, which is not followed"
    return "a text" if _is_text(head) else ""


def _picture(head: bytes) -> str:
    for magic, name in _PICTURES:
        if head.startswith(magic):
            # An animated PNG says so before its first picture.
            is_film = name == "PNG" and b"acTL" in head.split(b"IDAT")[0]
            return "" if is_film else name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if (
        head[:2] == b"BM"
        and head[6:10] == bytes(4)
        and head[14:18] in (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x7c\0\0\0")
    ):
        return "BMP"
    return _STILL_BRANDS.get(head[8:12], "") if head[4:8] == b"ftyp" else ""


def _is_text(head: bytes) -> bool:
    try:
        text = head[: max(len(head) - 3, 1)].decode("utf-8")  # the last letter may be cut
    except UnicodeDecodeError as error:
        if error.start < len(head) - 8:
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\t\r\n\f\x1b" for letter in text)
