// What the page says, in both languages. A function takes numbers or names.

const number = (language) => new Intl.NumberFormat(language);

export const messages = {
  id: {
    skip: "Langsung ke hasil",
    tagline: "Apa yang sudah pasti, apa yang masih dugaan, dan kata siapa.",
    language: "Bahasa",
    textLabel: "Naskah berita",
    hint: "Tempel naskah, atau seret berkas teks ke halaman ini. Ctrl+Enter untuk menganalisis.",
    count: (used, limit) => `${number("id").format(used)} dari ${number("id").format(limit)} karakter.`,
    analyze: "Analisis",
    open: "Buka berkas …",
    sample: "Coba contoh",
    results: "Hasil",
    article: "Naskah dengan penanda",
    panel: "Saringan dan ringkasan",
    filter: "Saring kalimat",
    shown: (shown, all) => `${shown} dari ${all} kalimat ditandai`,
    source: "Sumber",
    allSources: "Semua sumber",
    newsroom: "Redaksi",
    noName: "Tanpa nama",
    confidence: "Keyakinan minimal",
    reset: "Tampilkan semua",
    detail: "Kalimat terpilih",
    summary: "Ringkasan per sumber",
    download: "Unduh",
    downloadHint: "Berkas memuat semua kalimat, tanpa saringan.",
    model: "Kartu model",
    caveat:
      "Yang dinilai adalah cara kalimat menyajikan klaim, bukan benar tidaknya klaim itu. " +
      "Naskah diproses di server ini dan tidak disimpan.",
    working: "Menganalisis …",
    done: (sentences) => `Selesai: ${sentences} kalimat.`,
    nothing: "Naskah ini tidak memuat kalimat.",
    busy: (seconds) => `Layanan sedang sibuk. Coba lagi dalam ${seconds} detik.`,
    tooMany: (limit) => `Naskah berisi terlalu banyak kalimat (paling banyak ${number("id").format(limit)}). Bagi menjadi beberapa bagian.`,
    tooLong: (limit) => `Naskah terlalu panjang (paling banyak ${number("id").format(limit)} karakter). Bagi menjadi beberapa bagian.`,
    failed: "Analisis gagal. Coba lagi sebentar lagi.",
    unreachable: "Layanan tidak dapat dihubungi. Pastikan masih berjalan, lalu coba lagi.",
    notText: "Berkas itu bukan teks UTF-8. Simpan ulang sebagai teks biasa (UTF-8).",
    truncated: "Akhir kalimat tidak terbaca (terlalu panjang)",
    cue: "Penanda",
    heads: { claim_type: "Jenis klaim", certainty: "Kepastian", attribution: "Atribusi" },
    labels: {
      claim_type: {
        event: "peristiwa", quantity: "angka", causal: "sebab-akibat", prediction: "prakiraan",
        rule: "aturan", opinion: "pendapat", none: "bukan klaim",
      },
      certainty: { confirmed: "terkonfirmasi", alleged: "dugaan", denied: "dibantah", none: "bukan klaim" },
      attribution: {
        newsroom: "redaksi", named: "narasumber disebut", unnamed: "narasumber anonim", none: "bukan klaim",
      },
    },
    uncertain: "ragu",
    fine: { stated: "pernyataan" },
  },
  en: {
    skip: "Skip to the results",
    tagline: "What is confirmed, what is alleged, and on whose word.",
    language: "Language",
    textLabel: "News article, in Indonesian",
    hint: "Paste an article, or drop a text file on this page. Ctrl+Enter analyses it.",
    count: (used, limit) => `${number("en").format(used)} of ${number("en").format(limit)} characters.`,
    analyze: "Analyse",
    open: "Open a file …",
    sample: "Try an example",
    results: "Results",
    article: "The article, marked",
    panel: "Filters and summary",
    filter: "Filter sentences",
    shown: (shown, all) => `${shown} of ${all} sentences marked`,
    source: "Source",
    allSources: "All sources",
    newsroom: "The newsroom",
    noName: "Not identified",
    confidence: "Least confidence",
    reset: "Show all",
    detail: "Selected sentence",
    summary: "Summary by source",
    download: "Download",
    downloadHint: "The file holds every sentence, whatever the filter.",
    model: "Model card",
    caveat:
      "What is judged is how a sentence presents its claim, not whether the claim is true. " +
      "The text is read on this server and not kept.",
    working: "Analysing …",
    done: (sentences) => `Done: ${sentences} sentence${sentences === 1 ? "" : "s"}.`,
    nothing: "This text holds no sentence.",
    busy: (seconds) => `The service is busy. Try again in ${seconds} s.`,
    tooMany: (limit) => `The text has too many sentences (at most ${number("en").format(limit)}). Send it in parts.`,
    tooLong: (limit) => `The text is too long (at most ${number("en").format(limit)} characters). Send it in parts.`,
    failed: "The analysis failed. Try again in a moment.",
    unreachable: "The service cannot be reached. Check that it still runs, then try again.",
    notText: "That file is not UTF-8 text. Save it again as plain text (UTF-8).",
    truncated: "The end of the sentence was not read (too long)",
    cue: "Cue",
    heads: { claim_type: "Claim type", certainty: "Certainty", attribution: "Attribution" },
    labels: {
      claim_type: {
        event: "event", quantity: "quantity", causal: "causal", prediction: "prediction",
        rule: "rule", opinion: "opinion", none: "no claim",
      },
      certainty: { confirmed: "confirmed", alleged: "alleged", denied: "denied", none: "no claim" },
      attribution: { newsroom: "newsroom", named: "named source", unnamed: "unnamed source", none: "no claim" },
    },
    uncertain: "uncertain",
    fine: { stated: "stated" },
  },
};

// Prose written for this page; it holds every label that has a colour.
export const sample = `Dermaga Tanjung Rusa Ambruk, Dua Kapal Nelayan Terhimpit

Dermaga kayu Tanjung Rusa ambruk pada Selasa pagi dan menghimpit dua kapal nelayan. Kepala Dinas Perhubungan Belitung, Samsul Bahri, membenarkan tiga orang terluka dalam kejadian itu.

Tiang penyangga diduga lapuk karena tidak pernah diganti. Seorang pegawai pelabuhan menyebut anggaran perawatan sudah habis sejak Juni. Dinas Perhubungan membantah anggaran itu dialihkan.

"Kami belum bisa memastikan penyebabnya," kata Samsul. Pemerintah kabupaten akan memasang dermaga apung pekan depan. Menurut nelayan setempat, perbaikan itu terlalu lambat.`;
