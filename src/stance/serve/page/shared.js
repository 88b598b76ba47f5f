// What every part of the page shares: its state, its words, and a way to make elements.

import { messages } from "./messages.js";

export const MARKS = { confirmed: "✓", alleged: "?", denied: "✗", none: "·", uncertain: "~" };

export const state = {
  language: initialLanguage(),
  model: null, // GET v1/model
  text: "", // what was analysed
  points: [], // its characters as the service counts them: code points
  sentences: [],
  sources: [], // { key, name, claims: the starts of its sentences }, as the service summarises them
  request: null, // the AbortController of the analysis under way
  status: null, // [message, ...arguments], to be said again in the other language
};

export const element = (id) => document.getElementById(id);
export const words = () => messages[state.language];

function initialLanguage() {
  let remembered = null;
  try {
    remembered = localStorage.getItem("language");
  } catch { /* storage may be forbidden */ }
  return Object.hasOwn(messages, remembered) ? remembered : /^(id|ms)/.test(navigator.language) ? "id" : "en";
}

/** An element with attributes and children; strings become text nodes. */
export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export const markElement = (label) => make("span", { class: "mark", "aria-hidden": "true" }, MARKS[label]);
export const labelName = (head, label) =>
  label === "uncertain" ? words().uncertain : words().labels[head]?.[label] ?? label;
export const headName = (head) => words().heads[head] ?? head;
export const percent = (share) => `${Math.round(100 * share)} %`;
export const leastConfidence = (sentence) => Math.min(...Object.values(sentence.confidence));
export const sourceOf = (sentence) => state.sources.find(({ claims }) => claims.has(sentence.start));

export const sourceName = ({ key, name }) => name ?? (key === "newsroom:" ? words().newsroom : words().noName);
