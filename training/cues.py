"""The cue words and patterns of the lexicon, in the order of its decisions.

Written from `data/GUIDELINES.md` and from `data/train` alone, and from no other sentences.
"""

from __future__ import annotations

import re


def _any(words: str) -> str:
    """A pattern of alternatives, which are separated by a comma and a space."""
    return f"(?:{'|'.join(words.split(', '))})"


def _cue(words: str) -> re.Pattern[str]:
    """Whole words, in either case: any of the alternatives."""
    return _words(_any(words))


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){pattern}(?![\w-])", re.IGNORECASE)


QUOTED = re.compile(r'["“][^"“”]*(?:["”]|$)')
CLOSED_QUOTE = re.compile(r'^[^"“”]{12,}["”]')  # opened in the sentence before
QUOTE = "§"  # stands for a quotation of more than two words in the text around it
_NEGATION = (
    _any(r"tidak, tak, belum, enggan, menolak, ogah, tanpa, nggak, enggak")
    + r"(?: "
    + _any(r"bisa, dapat, mau, berani, bersedia, ingin, akan, juga, pernah, ada")
    + r"){0,3}"
)
_ENCLITIC = r"(?:nya)?"

# --- Is there a claim? ---------------------------------------------------------------------------
NO_CLAIM = [
    re.compile(
        r"^\W*(baca|tonton|simak|lihat|cek|ikuti|saksikan|dengarkan)\b( juga| selengkapnya|\s*:| "
        r"(video|artikel|berita|foto|terus|kanal))",
        re.IGNORECASE,
    ),
    re.compile(
        r"^\W*(foto|video|tag|tags|penulis|editor|reporter|laporan wartawan|pewarta|sumber foto|"
        r"dok|teks|grafis|infografis|halaman|bersambung|scroll|gambas|advertisement|iklan|"
        r"sebelumnya|selanjutnya|berikutnya|penyunting|ilustrasi)\b(?!.*\b(me|di|ber)\w+)",
        re.IGNORECASE,
    ),
    re.compile(r"\?[\"”'’)]*$"),
    re.compile(r"\?[\"”]\s*,?\s*(tanya|ujar|kata|ucap|sergah)\w*\b", re.IGNORECASE),
    re.compile(r"^\W*\(?[\w.]{2,8}(/[\w.]{2,8})+\)?\W*$"),
    re.compile(r"^\W*\*\)|:\s*$"),
    re.compile(
        r"^(?:suasana|hasil lainnya|daftar|jadwal|kumpulan|hoaks-hoaks|selamat)\b"
        r"(?!.*\b(me|di|ber)\w+)",
        re.IGNORECASE,
    ),
    re.compile(r"^\d+\.\s+\D{3,60}[^.!]$"),
    re.compile(
        r"\b(berlangganan|klik|download|unduh|newsletter|hubungi)\b.*\b(kami|sekarang|di sini"
        r"|aplikasi|gratis|center)\b",
        re.IGNORECASE,
    ),
]
PREDICATE = re.compile(
    r"\b(me(m|n|ng|ny|l|r|w|y)\w{3,}|di\w{4,}|ber\w{3,}|ter\w{4,}|akan|ada|adalah|bisa|tidak|tak|"
    r"belum|sudah|telah|bukan|naik|turun|tewas|jadi|masuk|pergi|datang|kata|ujar|boleh|wajib|"
    r"harus|jangan|tiba|kalah|menang|jatuh|rusak|bantah|sebut|klaim|minta|ungkap|gelar|tolak|"
    r"raih|hoaks|salah|bikin|buat|tolong|punya|pakai|mundur|gagal|desak|tetap|kembali|bakal|"
    r"siap|ditangkap|yakin|segera|lolos|juara|buka|tutup|tangkap|jalan|\w+kan)\b|\d",
    re.IGNORECASE,
)

# --- How does the sentence present it? -----------------------------------------------------------
_DENY = _any(
    r"(?:mem)?bantah(?:an)?, dibantah, (?:me)?nyangkal, disangkal, (?:me)?nepis, tepis, "
    r"ditepis, (?:me)?nampik, tampik, ditampik, menyanggah, sanggah, disanggah, mengelak, "
    r"memungkiri, membantahnya, menepisnya"
)
_CONFIRM_AT_ALL = _any(
    r"(?:me)?mastikan(?:nya)?, pastikan, dipastikan, (?:meng|di)?k?onfirmasi(?:kan)?, "
    r"(?:menyi|disi|si)mpulkan, (?:mem|ter|di)?verifikasi, membenarkan, dibenarkan, "
    r"membuktikan, dibuktikan, terbukti, mengakui, menjamin, mengiyakan, kepastian, "
    r"memutuskan, yakin, tahu pasti, terkonfirmasi, tahu"
)
# What somebody does who leaves a claim open, and what leaves it open by itself.
_DOUBT = _any(
    r"menduga, memperkirakan, menaksir, menengarai, men?sinyalir, menuding, tuding, "
    r"menuduh, tuduh, menge?klaim, klaim(?! (?:asuransi|itu|tersebut|bpjs)), meyakini, "
    r"mencurigai, curiga, memprediksi, prediksi, memproyeksikan, memprakirakan, "
    r"meragukan, ragu, khawatir, mengkhawatirkan, mendakwa, menyangka, menyalahkan, "
    r"menyangsikan, mengisyaratkan, optimistis, pesimistis, mengira, meramal(?:kan)?, "
    r"mendengar kabar, membuka (?:peluang|kemungkinan), memperingatkan, yakin, ramal, "
    r"masih (?:mendalami|menyelidiki|menelusuri)(?= (?:apakah|dugaan|kemungkinan)), "
    r"berspekulasi"
)
_HEDGE = _any(
    r"diduga, diperkirakan, dikabarkan, kabarnya, disebut-sebut, disebut(?! oleh), "
    r"dilaporkan(?! (?:ke|oleh|kepada|\d)), konon, ditaksir, ditengarai, disinyalir, "
    r"dituding, dituduh, diklaim, diyakini, dicurigai, diprediksi, diproyeksikan, "
    r"diprakirakan, diragukan, dikhawatirkan, diisukan, digosipkan, dirumorkan, didakwa, "
    r"disangka, diramal(?:kan)?, kemungkinan(?: besar| kecil)?, mungkin, barangkali, "
    r"berpotensi, berpeluang, berisiko, bisa jadi, bisa-bisa, bisa saja, boleh jadi, "
    r"sepertinya, tampaknya, kayaknya, agaknya, mudah-mudahan, insyaallah, dakwaan, "
    r"belum terverifikasi, beredar (?:kabar|isu|rumor), ada yang bilang, "
    r"santer (?:terdengar|dikabarkan), terancam, dugaan(?: awal| sementara)?, indikasi, "
    r"perkiraan, menunggu konfirmasi, ditakutkan, rumor, bukan mustahil, apakah benar"
)
# A hedge in a relative or reason clause leaves the main claim as it is.
_SUBORDINATE = r"(?<!yang )(?<!karena )(?<!lantaran )(?<!sebab )(?<!usai )(?<!atas )(?<!terkait )"
DENIED = [
    _words(_SUBORDINATE + _DENY),
    _words(r"(?:tidak|tak|enggak|nggak) benar"),
    _cue(
        r"menolak (?:anggapan|tudingan|tuduhan|klaim|dalil), tidak terbukti, hoaks?, hoax, "
        r"keliru, palsu, bohong, menyesatkan, mitos, disinformasi, mengada-ada, "
        r"isapan jempol, siapa bilang, tidak berdasar"
    ),
    re.compile(r"\[(?:salah|hoaks|keliru)\]", re.IGNORECASE),
]
NOT_DENIED = _words(
    _NEGATION + " " + _any(r"membantah, menyangkal, menampik, menepis, menyanggah, memungkiri")
)
ALLEGED = [
    _words(_NEGATION + r"(?: \w+)? " + _CONFIRM_AT_ALL),
    _words(r"(?:tidak|tak) (?:menutup|tertutup) kemungkinan"),
    _words(_NEGATION + " berspekulasi"),
    _words(
        r"(?:enggan|menolak|tidak mau|tak mau) (?:berkomentar|mengomentari|menanggapi|menjawab|"
        r"bicara) \w+"
    ),
    _words(_any("jika, bila, apabila") + " terbukti"),
    _words(r"(?:belum|tidak|tak) (?:diketahui|jelas) apakah"),
]
DOUBTED = _words(_SUBORDINATE + _DOUBT)
HEDGED = _words(_SUBORDINATE + _HEDGE)
FORECAST = _words(_any(r"bisa, dapat, jika, kalau, bila, apabila") + _ENCLITIC)
FUTURE = _cue(
    r"akan, bakal, besok, lusa, pekan depan, tahun depan, bulan depan, nanti, mendatang, "
    r"segera, musim depan, 20[23]\d, dalam waktu dekat, ke depan"
)
CONFIRMED = [
    _cue(
        r"membenarkan, dibenarkan, meng(?:k)?onfirmasi, terkonfirmasi, konfirmasi, mengakui, "
        r"diakui, akui, mengiyakan, pastikan, dipastikan, terbukti, "
        r"memastikan(?! (?:tim|tiket|kemenangan|gelar|langkah|diri)), membuktikan, "
        r"menyimpulkan, memverifikasi, mengakuinya"
    ),
    _words(
        "mengaku (?:bersalah|memang|telah|sudah|pernah|menerima|menjual|mencuri|membunuh|nekat)"
    ),
    _words(_any("berdasarkan, sesuai, merujuk, mengacu") + r" (?!permintaan|harapan)"),
    _words(
        r"menurut (?:UU|undang-undang|pasal|data|catatan|peraturan|perda|putusan|survei|studi|"
        r"laporan|hasil|dokumen|aturan|perpres|permen\w*)"
    ),
    _words(
        r"(?:data|survei|studi|rekaman|hasil|laporan|penelitian|riset|pemeriksaan|dokumen|citra|"
        r"jajak pendapat|sensus|kajian|temuan|audit|analisis|pengukuran|uji)\b.{0,90}? "
        r"(?:menunjukkan|memperlihatkan|menemukan|mencatat|menyebutkan|mengungkap(?:kan)?|"
        r"menyatakan)"
    ),
    _words(
        r"(?:pasal|ayat|undang-undang|uu|peraturan|perjanjian|putusan|surat edaran|akta|kontrak|"
        r"amar)\b.{0,70}? (?:menyebut(?:kan)?|menyatakan|berbunyi)"
    ),
    _cue(
        r"mengumumkan, umumkan, menetapkan, memvonis, memutuskan, tercatat, "
        r"mencatat(?! (?:waktu|laba|rekor|sejarah|kemenangan|nama)), menunjukkan, "
        r"memperlihatkan, menghitung, terekam, "
        r"hakim \w* ?(?:menyatakan|memerintahkan|menghukum)"
    ),
]
SPEECH_STEM = _any(
    r"kata, ujar, ucap, tutur, ungkap, jelas, terang, tegas, tandas, papar, imbuh, "
    r"tambah, sebut, tulis, cerita, keluh, kenang, tukas, cetus, seru, kilah, beber, "
    r"sambung, timpal, kisah, pesan, bunyi, harap, pinta, puji, sindir, seloroh, celetuk, "
    r"gerutu, balas, bisik, imbau, ancam, aku, lanjut, pungkas, urai, nilai, sentil, "
    r"protes, bilang, batin, teriak, janji, klaim, tanya, jawab, rinci, simpul, tuding"
)
# Bare stems speak beside a quotation («…, ujar Irvan»); the verbs speak anywhere.
STEM = _words(r"(?<![Yy]ang )" + SPEECH_STEM + _ENCLITIC)
SPEECH = _cue(
    r"mengatakan, berkata, menyebut(?:kan)?, menyatakan, menegaskan, menjelaskan, "
    r"mengungkapkan?, mengungkap, menerangkan, menuturkan, menyampaikan, memaparkan, "
    r"bercerita, menceritakan, berujar, menambahkan, mengaku, menilai, dinilai, "
    r"berpendapat, berpandangan, menganggap, dianggap, menulis, mengabarkan, melaporkan, "
    r"mengemukakan, mengisahkan, merinci, beralasan, berdalih, mengeluh(?:kan)?, "
    r"menuliskan, diharapkan, katanya, menurut(?:nya)?, dilansir, dikutip, melansir, "
    r"mengutip, memperingatkan, berkilah, diungkapkan, disampaikan, dijelaskan, "
    r"dikatakan, dituturkan, menyoroti, menguraikan, membeberkan, mengklarifikasi, "
    r"bilang, berkisah, menyimpulkan, sebut, ungkap, beberkan"
)
FIRST_PERSON = _cue("saya, kami, aku, gue, kulo")
HEADLINE_SOURCE = re.compile(r"^[A-Z][\w.]+(?: [A-Z][\w.]+){0,3}: (?=\S+ \S+ \S+)")

# --- Whose word is it? ---------------------------------------------------------------------------
AGENTLESS = _cue(
    r"diduga, diperkirakan, dikabarkan, kabarnya, disebut-sebut, dilaporkan, konon, "
    r"ditaksir, ditengarai, disinyalir, dituding, dituduh, diklaim, diyakini, dicurigai, "
    r"diprediksi, dikhawatirkan, diisukan, digosipkan, dirumorkan, didakwa, disangka, "
    r"diragukan, dinilai, dianggap, diharapkan, disebut, diprakirakan, diproyeksikan, "
    r"sepertinya, tampaknya, beredar kabar, santer, beredar isu, ditakutkan, diwacanakan, "
    r"dibantah, diramalkan, katanya"
)
IGNORANCE = _words(
    r"(?:belum|tidak|tak) (?:bisa |dapat )?(?:diketahui|jelas|dipastikan|disimpulkan|diverifikasi|"
    r"terverifikasi|terkonfirmasi|dikonfirmasi)"
)
AGENT = re.compile(
    r"\b(?:oleh|[Mm]enurut|kata|ujar|tutur|ucap|ungkap|jelas|sebut|"
    r"(?:di(?:bantah|tepis|benarkan|sangkal|ungkapkan|sampaikan|katakan|akui|tegaskan|jelaskan)"
    r"(?= (?:oleh )?[A-Z]))) "
)
UNNAMED = re.compile(
    r"\b(seorang|sejumlah|beberapa|para|warga(?:net)?|netizen|saksi|sumber|sebagian|banyak|"
    r"salah (?:satu|seorang)|petani|pedagang|nelayan|penumpang|pengamat|analis|tetangga|"
    r"keluarga|orang tua|sopir|pembeli|penonton|kerabat|rekan|pengguna|dua|tiga|mereka|orang|"
    r"pengunjung|pelanggan|suporter|penggemar|pendukung|kalangan|publik|masyarakat)\b",
    re.IGNORECASE,
)
NAME = re.compile(r"(?<=[a-z,)] )(?:[A-Z][\w'.-]+)(?: [A-Z][\w'.-]+)*")
AFTER_VERB = re.compile(r"^\s*,?\s*([^,.;:\"“”]{2,70})")

# --- What kind of claim is it? -------------------------------------------------------------------
TYPES = {
    "rule": _cue(
        r"wajib, mewajibkan, diwajibkan, melarang, dilarang, pasal, mengatur, diatur, "
        r"tidak boleh, berlaku, persyaratan, syarat, diancam, mengharuskan, denda, berhak, "
        r"dikenai, dikenakan, ketentuan, paling (?:lambat|banyak|lama|singkat), maksimal, "
        r"undang-undang, harus (?:melampirkan|menyertakan|berusia|membawa|mengisi), minimal, "
        r"mensyaratkan, nomor \d+ tahun, membolehkan, sekurang-kurangnya, tidak dipungut, "
        r"kecuali, hanya dapat, dapat (?:di)?ajukan, memerintahkan, menghukum, "
        r"pidana penjara, gugur, hanya boleh, sesuai aturan"
    ),
    "prediction": _cue(
        r"akan, bakal, diprediksi, memprediksi, berpotensi, berpeluang, "
        r"kemungkinan (?:besar )?(?:akan|naik|turun), diprakirakan, memprakirakan, "
        r"memproyeksikan, rencananya, berencana, menargetkan, ditargetkan, berjanji, "
        r"dijadwalkan, optimistis, khawatir, dikhawatirkan, mengancam, bisa-bisa, "
        r"pekan depan, bulan depan, tahun depan, musim depan, besok, berkomitmen, siap, "
        r"direncanakan, diproyeksikan, berisiko, terancam, segera, berniat, nanti, "
        r"tidak menutup kemungkinan, mendatang, ke depan, menjadwalkan, "
        r"(?:senin|selasa|rabu|kamis|jumat|sabtu|minggu) depan, mungkin, jika"
    ),
    "causal": _cue(
        r"karena, akibat, sehingga, memicu, dipicu, menyebabkan, disebabkan, membuat, "
        r"mengakibatkan, lantaran, gara-gara, menimbulkan, bikin, mendorong, didorong, "
        r"berkat, menghambat, memudahkan, dampak, penyebab, imbas, berujung, "
        r"menjadi (?:pemicu|alasan|sebab), mengubah, menekan, memperparah, menurunkan, "
        r"meningkatkan, menyusul, efek, dipengaruhi, berdampak, bermula dari, berawal dari, "
        r"mendongkrak, mempercepat, memperlambat, biang, ditopang, memungkinkan"
    ),
    "quantity": _cue(
        r"[\d,.]+ persen, [\d,.]+%, tercatat, mencatat, sedikitnya, rata-rata, "
        r"(?:sebanyak|mencapai|sebesar|total|senilai|seharga|jumlah\w*|dibanderol|skor) "
        r".{0,40}?\d[\d.,]*, "
        r"[\d.,]+ (?:orang|rumah|kali|juta|miliar|triliun|ribu|poin|gol|ton|hektare|"
        r"kilogram|unit|suara|kursi|responden|kasus) (?:\w+ )?, "
        r"\d+-\d+, separuh, naik, kali lipat, berjumlah, terbanyak, tertinggi, terendah, "
        r"ditonton, tewas, (?:rp|us\$) ?[\d,.]+ (?:miliar|triliun), surplus, berkisar, turun, "
        r"rp ?[\d.,]+(?: \w+)?\.?$"
    ),
    "opinion": _cue(
        r"mengecam, mendesak, desak, meminta, minta, diminta, menyerukan, memuji, mengkritik, "
        r"kritik, menyambut baik, berharap, harap, berpesan, mengingatkan, mengimbau, imbau, "
        r"diimbau, merekomendasikan, harus, seharusnya, sebaiknya, jangan, perlu, penting, "
        r"menilai, dinilai, menyayangkan, prihatin, terlalu, paling, layak, pantas, bagus, "
        r"buruk, berbahaya, menyesalkan, mengajak, tidak adil, kecewa, bangga, senang, sedih, "
        r"lega, menuntut, semestinya, lebih baik, keterlaluan, mengapresiasi, berduka, "
        r"keliru, menganggap, dianggap, rasanya, sangat, ini bukan, mestinya, harusnya, "
        r"patut, masuk akal, banget, kasihan, sungguh, sepantasnya, tidak cukup, sih, adil, "
        r"malu, tetap saja, kejam, tapi, percuma, menyarankan, disarankan, diharapkan, "
        r"semoga, jauh lebih, takut, tega"
    ),
}
