"""Split Indonesian news text into sentences, as spans of the original text.

The rules are written here and not taken from a library. The maintained multilingual splitter,
sentencex, breaks after "Jl." and "Kompol.", keeps a quotation of two sentences whole and rejects
lone surrogates: each of its boundaries would need a second decision, which is all there is below.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Sentence", "iter_sentences", "split_sentences"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and its place in the document.

    `start` and `end` count Python characters (code points, neither bytes nor UTF-16 units) of the
    document, `end` exclusive, so that `document[start:end] == text`. The text neither begins nor
    ends with whitespace and holds no line break.
    """

    text: str
    start: int
    end: int


def _words(table: str) -> frozenset[str]:
    return frozenset(table.split())


# The tables are case-sensitive: "pria MR. Dia" ends in the initials of a suspect, not in "Mr.".

# These stand before a name or an address, so their full stop does not end a sentence.
_BEFORE_A_NAME = _words(
    # titles and forms of address
    "Dr dr DR drg Drg Drs drs DRS Dra dra Ir Hj KH Kh Prof prof PROF Tgk Tn Ny Nn Sdr sdr Sdri "
    "Bpk Mr Mrs Ms St Rd Tb Tgh Ust Alm alm Almh almh Rev Pdt Moh Muh Mohd Muhd Abd Purn purn Plt "
    "plt Plh Pj Pjs Adv Rep Sen Gov Capt "
    # ranks of the police and the armed forces
    "Jend Jen Komjen Irjen Brigjen Kombes Kombespol AKBP Akbp Kompol KOMPOL AKP Akp Iptu IPTU Ipda "
    "IPDA Aiptu Aipda Bripka Brigpol Briptu Bripda Pol Letjen Mayjen Kol Letkol "
    "Kapt Lettu Letda Peltu Pelda Serma Serka Sertu Serda Kopka Koptu Kopda Praka Pratu Prada "
    "Marsda Marsma Laksda Laksma Inf Arh Czi "
    # legal forms before the name of the company
    "PT Pt CV UD Fa Pte Pty "
    # addresses and places
    "Jl jl JL Jln jln Gg gg Kec kec KEC Kab kab KAB Kel kel Kp Prov prov Ds Dsn Kom Komp Perum Gn "
    # references, among them numbers such as "No. B-17/2024"
    "No NO jo Jo cf vs Vs lih Lih bdk Bdk HR dok Dok feat"
)

# These may end a sentence, but not in front of a number or a bracket: "hlm. 10", "Tbk. (BBCA)".
_BEFORE_A_NUMBER = _words(
    "no Nmr hlm Hlm hal Hal Ps ps Psl psl ay Vol vol Ed ed QS Rp rp Telp telp Tel "
    "tel Tlp tlp Fax fax Kav kav Blok Lt lt Pk pk tgl Tgl ca thn Th th "
    "Jan Feb Mar Apr Jun Jul Agt Agu Sep Sept Okt Nov Des "
    "Tbk tbk TBK Ltd Inc Corp Co Jr Sr dkk dll dsb dst etc al"
)

# A single capital is an initial ("M. Yusuf"), unless it is the name of a thing ("vitamin C.").
_NAMED_BY_A_LETTER = _words(
    "vitamin hepatitis influenza virus grup group kelompok golongan gol darah kelas tipe type blok "
    "seri serie liga divisi pot gen generasi rencana plan opsi pilihan huruf butir poin nilai "
    "ruang gedung terminal tribun sim akun platform aplikasi inisial berinisial pelat paket euro "
    "bab jilid tahap fase"
)

# Function words are not names: in front of one, even an abbreviation has ended its sentence.
_FUNCTION_WORDS = _words(
    "Ia Dia Beliau Mereka Kami Kita Saya Aku Anda Kamu Ini Itu Namun Tapi Tetapi Sementara "
    "Sedangkan Selain Selanjutnya Kemudian Lalu Lantas Setelah Sebelum Sebelumnya Saat Ketika "
    "Sejak Selama Hingga Sampai Dalam Dari Pada Untuk Dengan Tanpa Oleh Karena Sebab Akibatnya "
    "Jika Bila Kalau Apabila Meski Meskipun Walau Walaupun Agar Sehingga Bahkan Padahal Adapun "
    "Bagi Menurut Berdasarkan Seperti Para Seorang Sebuah Sebanyak Semua Seluruh Setiap Tidak "
    "Belum Bukan Kini Sebagai Terhadap Tentang Antara Pasalnya Akan Harus Serta"
)

_OPENERS = "\"'“”‘’«([{"
_CLOSERS = "\"'”’»)\\]}"
# A run of stops with its closing quotes, and the word which follows on the same line. A tail
# without a letter ("***", "[]") is no sentence. The lookbehind, the possessive quantifiers and the
# bounds keep the search linear: no character is tried again for each of the stops before it.
_STOP = re.compile(
    r"(?<![.!?…])(?P<stops>[.!?…]++)(?P<closers>[" + _CLOSERS + r"]*+)"
    r"(?=\s++(?P<lead>[\W_]{0,16}+)(?P<next>[^\W_]\w{0,15}))"
)
_INITIALS = re.compile(r"(?:[A-Za-z]\.)*[A-Za-z]")
_DEGREE = re.compile(r"[SM]\.[A-Z](?:\.[A-Z])?")
_LIST_MARKER = re.compile(r"\d{1,3}(?:\.\d{1,2})*|[A-Za-z]|[IVX]{1,5}|[ivx]{1,5}")
_LONGEST_CONTEXT = 40


def split_sentences(text: str) -> list[Sentence]:
    """Return the sentences of `text` in order, with character offsets into `text`.

    They do not overlap, and each character which is not whitespace lies in exactly one of them.
    A line break always ends a sentence. Closing quotes and brackets stay with their sentence, and
    a quotation of several sentences is split like other text. Any string is accepted; the time is
    linear in its length.
    """
    return list(iter_sentences(text))


def iter_sentences(text: str) -> Iterator[Sentence]:
    """Yield the sentences of `split_sentences(text)` one at a time."""
    line_start = 0
    for line in text.splitlines(keepends=True):
        start = 0
        for end in _boundaries(line):
            chunk = line[start:end]
            if stripped := chunk.strip():
                offset = line_start + start + len(chunk) - len(chunk.lstrip())
                yield Sentence(stripped, offset, offset + len(stripped))
            start = end
        line_start += len(line)


def _boundaries(line: str) -> Iterator[int]:
    start = 0
    for stop in _STOP.finditer(line):
        if _ends_sentence(line, start, stop):
            start = stop.end()
            yield start
    yield len(line)


def _ends_sentence(line: str, start: int, stop: re.Match[str]) -> bool:
    """Whether `stop` ends the sentence which began at `start`."""
    stops, closers, lead, following = stop.groups()
    # "iPhone" begins a sentence, "kata" continues one: '"Siapa?" kata Budi.'
    if following[0].islower() and not following[1:2].isupper():
        return False
    if stops != "." or closers not in ("", ")"):
        return True

    context = line[max(start, stop.start() - _LONGEST_CONTEXT) : stop.start()].split()
    if not context:
        return True
    word = context[-1].lstrip(_OPENERS)
    previous = context[-2] if len(context) > 1 else ""
    if (not previous or previous[-1] in ":;") and _LIST_MARKER.fullmatch(word):
        return False
    if _INITIALS.fullmatch(word):
        return (
            previous.lstrip(_OPENERS).lower() in _NAMED_BY_A_LETTER
            or (following in _FUNCTION_WORDS and word[-1].isupper())
            or (previous.endswith(",") and _DEGREE.fullmatch(word) is not None)
        )
    if following in _FUNCTION_WORDS:
        return True
    last_part = word.rpartition(".")[2]  # "Prof.Dr", "Kombes.Pol"
    if last_part in _BEFORE_A_NAME:
        return False
    takes_number = following[0].isdigit() or lead.startswith(("(", "["))
    return not (last_part in _BEFORE_A_NUMBER and takes_number)
