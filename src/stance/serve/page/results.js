// What came back: filters, the marked article, a sentence's detail, the summary by source.

import { MARKS, element, headName, labelName, leastConfidence, make, markElement, percent, sourceName, sourceOf, state, words } from "./shared.js";

// ---- filters

function reportedLabels(head) {
  return [...new Set(head.labels.map((label) => head.merge[label] ?? label))];
}

export function buildFilters() {
  const heads = (state.model?.heads ?? []).toSorted(
    (one, other) => (other.name === "certainty") - (one.name === "certainty"),
  );
  element("filters").replaceChildren(
    ...heads.map((head) => {
      const used = new Set(state.sentences.map((sentence) => sentence[head.name]));
      const boxes = [...reportedLabels(head), "uncertain"]
        .filter((label) => used.has(label))
        .map((label) => {
          const box = make("input", { type: "checkbox", "data-head": head.name, value: label });
          box.checked = true;
          const mark = head.name === "certainty" && label in MARKS ? markElement(label) : "";
          return make("label", { class: `chip ${head.name}-${label}` }, box, mark, make("span", { "data-name": label }), make("span", { class: "number" }));
        });
      return make("fieldset", { "data-head": head.name }, make("legend"), ...boxes);
    }),
  );
  element("source").value = "";
  element("confidence").value = 0;
}

function showFilterNames() {
  for (const field of element("filters").children) {
    const head = field.dataset.head;
    field.querySelector("legend").textContent = headName(head);
    for (const chip of field.querySelectorAll("label")) {
      const label = chip.querySelector("input").value;
      chip.querySelector("[data-name]").textContent = labelName(head, label);
      const count = state.sentences.filter((sentence) => sentence[head] === label).length;
      chip.querySelector(".number").textContent = count;
    }
  }
  const chosen = element("source").value;
  element("source").replaceChildren(
    make("option", { value: "" }, words().allSources),
    ...state.sources.map((source) => make("option", { value: source.key }, sourceName(source))),
  );
  element("source").value = chosen;
}

function matcher() {
  const off = [...element("filters").querySelectorAll("input:not(:checked)")].map(
    (box) => [box.dataset.head, box.value],
  );
  const source = element("source").value;
  const least = element("confidence").value / 100;
  return (sentence) =>
    off.every(([head, label]) => sentence[head] !== label) &&
    (source === "" || sourceOf(sentence)?.key === source) &&
    leastConfidence(sentence) >= least;
}

// ---- results

export function showResults() {
  showFilterNames();
  showArticle();
  showSummary();
}

export function showArticle() {
  const matches = matcher();
  const paragraphs = [];
  let position = 0;
  state.sentences.forEach((sentence, index) => {
    const gap = state.points.slice(position, sentence.start).join("");
    if (!paragraphs.length || gap.includes("\n")) paragraphs.push(make("p"));
    else paragraphs.at(-1).append(" ");
    paragraphs.at(-1).append(sentenceElement(sentence, index, matches(sentence)));
    position = sentence.end;
  });
  const [first, ...rest] = paragraphs;
  if (rest.length && !/[.!?…"”]$/.test(state.sentences[0].text)) first.className = "headline";
  element("article").replaceChildren(...paragraphs);
  element("article").querySelector(".sentence").tabIndex = 0;
  element("detail").hidden = true;
  const shown = state.sentences.filter(matches).length;
  element("shown").textContent = words().shown(shown, state.sentences.length);
  element("confidence-value").textContent = percent(element("confidence").value / 100);
}

function sentenceElement(sentence, index, matches) {
  const place = { "data-index": index, tabindex: -1 };
  if (!matches) {
    return make("span", { ...place, class: "sentence other" }, ...pieces(sentence, sentence.start, sentence.end));
  }
  const { certainty, claim_type: type } = sentence;
  const spoken = Object.keys(sentence.confidence).map((head) => labelName(head, sentence[head]));
  // The first word stays with the mark, which would look lost at the end of a line.
  const word = sentence.start + Math.min(Array.from(sentence.text.split(/\s/, 1)[0]).length, 30);
  return make(
    "span",
    { ...place, class: `sentence certainty-${certainty}` },
    make("span", { class: "unseen" }, `[${spoken.join(", ")}] `),
    make("span", { class: "lead" }, certainty in MARKS ? markElement(certainty) : "", ...pieces(sentence, sentence.start, word)),
    ...pieces(sentence, word, sentence.end),
    type ? make("span", { class: "tag", "aria-hidden": "true" }, labelName("claim_type", type)) : "",
  );
}

/** A stretch of the text, cut where a cue or a source begins or ends: they may overlap. */
function pieces(sentence, from, to) {
  const spans = Object.entries(sentence.spans);
  const edges = spans.flatMap(([, span]) => [span.start, span.end]).filter((edge) => from < edge && edge < to);
  const cuts = [...new Set([from, ...edges, to])].sort((a, b) => a - b);
  return cuts.slice(1).map((end, index) => {
    const start = cuts[index];
    const text = state.points.slice(start, end).join("");
    const names = spans.filter(([, span]) => span.start <= start && end <= span.end).map(([name]) => name);
    return names.length ? make("span", { class: names.join(" ") }, text) : text;
  });
}

export function showDetail(index) {
  const sentence = state.sentences[index];
  const rows = Object.entries(sentence.confidence).map(([head, confidence]) => {
    const fine = sentence.fine[head];
    const label = labelName(head, sentence[head]) + (fine ? ` (${words().fine[fine] ?? fine})` : "");
    return [headName(head), make("span", {}, `${label} `, make("span", { class: "number" }, percent(confidence)))];
  });
  const source = sourceOf(sentence);
  if (source) rows.push([words().source, sourceName(source)]);
  if (sentence.spans.cue) rows.push([words().cue, sentence.spans.cue.text]);
  if (sentence.truncated) rows.push(["!", words().truncated]);
  element("detail-list").replaceChildren(
    ...rows.flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]),
  );
  element("detail").hidden = false;
}

function showSummary() {
  for (const id of ["by-source", "source-field"]) element(id).hidden = !state.sources.length;
  const labels = ["confirmed", "alleged", "denied"];
  element("summary-head").replaceChildren(
    make("th", { scope: "col" }, words().source),
    ...labels.map((label) => make("th", { scope: "col", class: `certainty-${label}`, title: labelName("certainty", label) },
      markElement(label),
      make("span", { class: "unseen" }, labelName("certainty", label)))),
  );
  element("summary").replaceChildren(
    ...state.sources.map((source) => {
      const said = state.sentences.filter((sentence) => source.claims.has(sentence.start));
      const count = (label) => said.filter((sentence) => sentence.certainty === label).length;
      const name = make("button", { type: "button", class: `link ${source.key.split(":")[0]}`, "data-source": source.key }, sourceName(source));
      return make("tr", {}, make("th", { scope: "row" }, name),
        ...labels.map((label) => make("td", {}, String(count(label) || "·"))));
    }),
  );
}
