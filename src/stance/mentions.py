"""What the words that name a speaker are: a person, an institution, a document, a pronoun, a role.

The tables are small on purpose. A word that is in none of them makes a rule of `stance.linking`
not apply; it never makes one apply.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property


def _words(table: str) -> frozenset[str]:
    return frozenset(table.split())


_ROLES = _words(
    "adik advokat ahli aipda aiptu akademisi akbp akp aktivis aktor aktris alumni alumnus anak "
    "analis anggota arsitek artis asisten atlet ayah bakal bang bapak bek bekas bendahara "
    "bendum besan bidan biksu bintang bos brigjen bu bupati cak calon camat capres caretaker "
    "cawapres ceo cewek cfo chef chief co-founder coo country cowok cto cucu dai dalang dekan "
    "deputi desainer direktur dirjen dirut dj dokter dosen dr drg dubes duda duta ekonom eks "
    "executive figur founder gadis gelandang general gitaris gubernur guru gus haji hakim head "
    "host humas ibu ilmuwan influencer ipda iptu irjen istri jaksa jampidsus jampidum janda "
    "jebolan jend jenderal juara jubir jurnalis juru kabag kabareskrim kabid kader kades kadis "
    "kadiv kajagung kajari kajati kakak kakek kandidat kanit kanselir kapolda kapolres "
    "kapolresta kapolrestabes kapolri kapolsek kapten kapuspen kapuspenkum karib karyawan kasat "
    "kasi kastaf kasubag kasubdit kepala keponakan ketua ketum kh kiai kiper koki kolonel "
    "komandan kombes kombespol komedian komika komisaris komjen kompol konsul koordinator "
    "korban kuasa laki-laki laksamana legenda legislator lelaki letjen letkol lulusan lurah "
    "mahasiswa manager manajer mantan marsekal mas mayjen mayor mbak menag menaker mendag "
    "mendagri mendes mendikbud menhan menkes menkeu menko menlu menpora mensesneg mensos "
    "menteri mertua model musisi nakhoda nelayan nenek notaris ojek pak pakar paman panglima "
    "paranormal pasangan pastor paus pebalap pebasket pebulutangkis pedagang pedangdut pegawai "
    "pegolf pejabat pekerja pelaksana pelaku pelanggan pelatih pelawak pemain pembalap pembeli "
    "pembina pemeran pemilih pemilik pemuda penasihat pencetak pendeta pendiri peneliti "
    "pengacara pengamat pengasuh pengelola pengunjung pengurus pengusaha penjabat penjaga "
    "pentolan penulis penumpang penyair penyanyi penyerang penyidik peraih perawat perdana "
    "perempuan perwakilan perwira pesepakbola pesinetron petani petenis petinju petugas "
    "pimpinan pj plh plt pm politikus politisi prajurit presenter presiden president pria "
    "produser prof profesor promotor psikolog purnawirawan putra putri raja rapper ratu rekan "
    "rektor remaja rider romo sahabat saksi sang sejarawan sekda sekjen sekretaris sekum "
    "selebgram senator senior si sineas siswa sopir sosiolog sosok staf striker suami sultan "
    "sutradara tamu terdakwa tersangka tokoh ulama uskup ustad ustaz utusan vice vokalis wabup "
    "wagub waketum wakil wali walikota wamen wamenhan wamenkeu wamenlu wanita wapres warga "
    "wartawan wasekjen wasit winger youtuber"
)
_INSTITUTIONS = _words(
    "agensi aliansi aparat aplikasi asosiasi badan bank bareskrim bawaslu bi bmkg bnn bnpb bpbd "
    "bpom bps bursa cv dewan dinas direktorat ditjen dpc dpd dpp dpr dprd fakultas federasi "
    "fraksi gedung gerakan grup holding ikatan institut istana jaringan kantor kedubes kedutaan "
    "kejagung kejaksaan kejari kejati kelompok kemendag kemendikbud kemenhub kemenkes kemenkeu "
    "kemenlu kementerian kemnaker kepolisian kerajaan klub koalisi kominfo komisi komnas kpk "
    "kpu kubu label lembaga liga lsm mahkamah majelis manajemen maskapai militer mpr negara ngo "
    "ojk operator organisasi otoritas pabrikan panitia partai pasukan pemda pemerintah pemkab "
    "pemkot pemprov pengadilan penyelenggara perhimpunan persatuan perusahaan pihak platform "
    "polda polisi polres polresta polrestabes polri polsek produsen pssi pt pusat raksasa rezim "
    "rs rsud rumah satgas satuan sekolah serikat skuad startup tentara tim timnas tni uni "
    "universitas yayasan"
)
_THINGS = _words(
    "afp akun antara artikel aturan ayat bbc bloomberg buku catatan cnbc cnn dakwaan data "
    "detikcom dokumen edaran facebook film forbes foto gambar harian hasil iklan indeks "
    "informasi instagram instruksi isu jadwal kabar keputusan keterangan kompas.com koran kyodo "
    "laman laporan majalah marca media pasal penelitian penjelasan peraturan perjanjian permen "
    "pernyataan pernyataannya perppu perpres perpu pesan postingan proposal putusan ramalan "
    "rekaman resolusi reuters rilis riset rumor siaran situs sky statistik studi surat surel "
    "survei talksport tempo tiktok twitter undang-undang unggahan uu video whatsapp xinhua "
    "yonhap youtube"
)
_GROUPS = _words(
    "banyak beberapa berbagai kalangan kedua keduanya keluarga ketiga masyarakat mereka netizen "
    "orang-orang para pengguna publik sebagian sejumlah seluruh semua warganet"
)
# Countries and capitals that stand for their governments: inside a title they are no one's name.
_PLACES = _words(
    "aceh afghanistan amerika arab argentina as australia bali bandung banten barat baru "
    "beijing bekasi belanda belgia berlin bogor brasil brunei china cina depok eropa filipina "
    "gaza india indonesia inggris irak iran israel italia jakarta jawa jepang jerman kalimantan "
    "kamboja kanada korea korsel korut kremlin kuba kyiv lampung laos lebanon london makassar "
    "malaysia medan meksiko mesir moskow myanmar nato norwegia pakistan palestina papua paris "
    "pbb perancis polandia prancis pyongyang qatar riau rusia saudi selandia selatan semarang "
    "seoul singapura spanyol sulawesi sumatera sumatra surabaya suriah swedia swiss taiwan "
    "tangerang teheran tengah thailand timur tiongkok tokyo turki ue ukraina utara venezuela "
    "vietnam washington yaman yogyakarta yunani"
)
_NOT_NAMES = _ROLES | _INSTITUTIONS | _PLACES
_PERSONAL = _words("ia dia beliau dirinya")
_OTHER_PERSONS = _words("saya aku kami kita mereka")
_SPEECH = (
    "akui bagi beber beri celetuk cerita cetus diakui dijelaskan dikata dituturkan harap imbuh "
    "jawab jelas kata kilah kisah klaim lanjut menurut papar pesan pinta pungkas sambung saran "
    "sebut seru tambah tandas tegas terang timpal tukas tulis tutup tutur ucap ujar ungkap urai"
)
_SPEECH_VERB = re.compile(rf"(?:{'|'.join(_SPEECH.split())})nya", re.IGNORECASE)
_INDEFINITE = _words("seorang seseorang salah sumber")
_DETERMINERS = _words("itu ini tersebut tadi")
# A sentence may begin with these; with a capital they are still no names.
_OPENERS = _words(
    "adapun agar agustus april atau baca bagi bahkan bila dalam dan dari dengan desember "
    "februari hal hari januari jika juga juli jumat juni kabar kamis karena kata kemudian "
    "kepada ketika kini lalu lebih maret mei menanggapi menurut menyikapi meski minggu namun "
    "november oktober oleh pada rabu saat sabtu sebagai sebelum sebelumnya sebuah sedangkan "
    "sejak selain selasa sementara senin seorang seperti september setelah tapi terkait ujar "
    "ungkap untuk"
)
_PASSIVE = re.compile(r"Di\w{3,}kan")
_CAPITALISED = r"[A-Z][\w'’]*(?:-\w+)*(?:\.(?=\s?[A-Z]))?"
_RUN = re.compile(
    rf"{_CAPITALISED}(?:\s(?:(?:dan|of|the|de|van|bin|binti)\s)?(?:{_CAPITALISED}|\([A-Z][\w-]*\)))*"
)
# Possessive, so that a line of nothing but capitals takes linear time.
_DATELINE = re.compile(r"(?:[A-Z(][\w.()/]*+,?\s?){1,6}+(?:-{1,2}|[–—])\s+")
_ASIDE = re.compile(r"\s*\([^)]*\)")
_ADDRESS = re.compile(r"\w\.(?:com|co|id|org|net)\b|^@")
_DEGREE = re.compile(r"[A-Z]{2,4}|\w{1,5}\.[\w.]*|Sp[A-Z][\w-]*")
_CLAUSE = re.compile(r"\s+(?:selaku|sebagai|yang|asal|dari|dalam)\s")


class Kind(Enum):
    """What a mention names; `GROUP` is several people, `THING` a document, record or medium."""

    PERSON = "person"
    INSTITUTION = "institution"
    GROUP = "group"
    THING = "thing"


@dataclass(frozen=True)
class Mention:
    """Words that name somebody; `start` and `end` (exclusive) count characters of the document."""

    text: str
    start: int
    end: int

    @cached_property
    def kind(self) -> Kind:
        """Told by the first word; where no table knows it, a person if it has a capital."""
        first = self.text.split()[0].rstrip(",.") or self.text
        if first.lower() in _GROUPS:
            return Kind.GROUP
        if first.lower() in _THINGS or _ADDRESS.search(self.text):
            return Kind.THING
        acronym = " " not in self.text and self.text.isupper() and len(self.text) > 1
        place = all(word.lower() in _PLACES for word in self.text.split())
        if first.lower() in _INSTITUTIONS or acronym or place:
            return Kind.INSTITUTION
        person = first[0].isupper() or first in _ROLES or first in _INDEFINITE
        return Kind.PERSON if person else Kind.THING

    @cached_property
    def name(self) -> tuple[str, ...]:
        """The words of the proper name, without title and role: («John», «Kirby»)."""
        bare = _ASIDE.sub("", self.text)
        if self.kind is not Kind.PERSON:
            return tuple(bare.split())
        parts = [words for p in bare.split(",") if (words := _CLAUSE.split(f"{p} ")[0].split())]
        parts = [part for part in parts if not _DEGREE.fullmatch(" ".join(part))] or parts
        names = [_proper_name(part) for part in parts]
        # «John Kirby, juru bicara Gedung Putih»: a part that is a name and nothing else; otherwise
        # the last, as in «Juru Bicara Gedung Putih, John Kirby».
        pure = (name for name, part in zip(names, parts, strict=True) if len(name) == len(part))
        return next(pure, names[-1] if names else ())

    @cached_property
    def acronym(self) -> str:
        """The short form that the mention gives in brackets, or nothing."""
        found = re.search(r"\(([A-Z][\w-]+)\)", self.text)
        return found[1] if found else ""

    @cached_property
    def role_led(self) -> bool:
        """Whether it begins with a title or role."""
        return is_role(self.text.split()[0].rstrip(".,"))

    def may_be_short_for(self, other: Mention) -> bool:
        """Whether it is part of the other, as «Kirby» and «Juru Bicara» of «Juru Bicara Kirby»."""
        if self.kind is not other.kind:
            return False
        if self.role_led and other.text.startswith((f"{self.text} ", f"{self.text},")):
            return True
        if self.kind is Kind.PERSON:
            return _is_within(self.name, other.name) and (other.role_led or not self.role_led)
        if self.kind is Kind.INSTITUTION:
            name = other.name[1:] if other.name[:1] in (("PT",), ("PT.",)) else other.name
            short = self.text == other.acronym or name[: len(self.name)] == self.name
            return bool(self.name) and short
        return False

    def starts_with(self, noun: str) -> bool:
        """Whether its title is `noun`; «polisi» is also «Kepolisian Jepang»."""
        if self.kind is Kind.THING:
            return noun in self.text.lower().split()
        first = self.text.split()[0].lower()
        return noun in (first, first.removeprefix("ke").removesuffix("an"))


def _proper_name(words: list[str]) -> tuple[str, ...]:
    """The capitalised words at the end, from the last word that belongs to a title."""
    name: list[str] = []
    for word in reversed(words):
        title = word.lower().rstrip(".") in _NOT_NAMES
        acronym = word.isupper() and len(word) > 2
        if not word[0].isupper() or title or acronym:
            break
        name.insert(0, word)
    if not name and len(words) == 2 and words[1].lower() in _ROLES and not is_role(words[0]):
        name = words  # «Lukman Hakim»
    return tuple(name[-4:])


def fuller(mention: Mention, others: Iterable[Mention]) -> Mention | None:
    """The longest form of the same name among others, where it is longer and only one person's."""
    same = [other for other in others if mention.may_be_short_for(other)]
    longest = max((other.name for other in same), key=len, default=())
    fullest = max(same, key=lambda other: len(other.text.split()), default=mention)
    if not all(other.name == mention.name or _is_within(other.name, longest) for other in same):
        return None
    return fullest if len(fullest.text.split()) > len(mention.text.split()) else None


def _is_within(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether the words of `part` stand side by side in `whole`."""
    size = len(part)
    return size > 0 and any(whole[at : at + size] == part for at in range(len(whole) - size + 1))


def is_pronoun(source: str) -> bool:
    """Whether the words stand for one person: «ia», «dirinya», «ujarnya», «menurutnya»."""
    lower = source.lower()
    return lower in _PERSONAL or _SPEECH_VERB.fullmatch(lower) is not None


def is_institutional(source: str) -> bool:
    """Whether the words stand for the speaker and those for whom they speak: «pihaknya»."""
    return source.lower() == "pihaknya"


def names_nobody(source: str) -> bool:
    """Whether the words are a pronoun of any kind: alone they do not say who speaks."""
    return is_pronoun(source) or is_institutional(source) or source.lower() in _OTHER_PERSONS


def is_role(word: str) -> bool:
    """Whether the word is a title, an office, a trade or a kinship that one person has."""
    return word.lower() in _ROLES


def role_noun(source: str) -> str | None:
    """The noun of a definite role: «menteri» for «Menteri itu», «Menlu» and «sang menteri»."""
    words = source.lower().split()
    if len(words) == 1 and (words[0] in _ROLES or words[0] in _INSTITUTIONS):
        return words[0]
    if words[0] in ("sang", "si") and len(words) > 1:
        return words[1]
    if words[-1] in _DETERMINERS and len(words) > 1:
        return words[0]
    return None


def find_mentions(text: str, offset: int) -> Iterator[Mention]:
    """The capitalised names in running text, each with the title that a comma ties to it."""
    previous: Mention | None = None
    for run in _RUN.finditer(text):
        start, words = run.start(), run[0].split()
        while words and (words[0].lower() in _OPENERS or _PASSIVE.fullmatch(words[0])):
            start += len(words[0]) + 1
            words = words[1:]
        if not words:
            continue
        mention = Mention(text[start : run.end()], offset + start, offset + run.end())
        tied = previous is not None and text[previous.end - offset : start] == ", "
        person = mention.kind is Kind.PERSON and not mention.role_led
        if previous is not None and tied and previous.role_led and person:
            yield Mention(text[previous.start - offset : run.end()], previous.start, mention.end)
            previous = None
        else:
            yield mention
            previous = mention


def leading_subject(text: str, offset: int) -> Mention | None:
    """The name that a sentence begins with, after its dateline."""
    dateline = _DATELINE.match(text)
    start = dateline.end() if dateline else 0
    mention = next(find_mentions(text[start:], offset + start), None)
    return mention if mention is not None and mention.start == offset + start else None
