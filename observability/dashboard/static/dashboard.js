// What the pages need beside htmx: light and dark, the LEDs' rhythm, charts, and what an action answered.
"use strict";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  drawCharts(document, true);
});

// An LED's data-steps is its pattern: [[seconds on, seconds off, brightness], ...], repeated for ever.
function beat(led) {
  if (led.dataset.beating === led.dataset.steps) return;
  led.dataset.beating = led.dataset.steps;
  for (const old of led.getAnimations()) old.cancel();
  const steps = JSON.parse(led.dataset.steps);
  const period = steps.reduce((sum, [on, off]) => sum + on + off, 0);
  if (calm.matches || steps.length === 1 && (steps[0][1] === 0 || steps[0][2] === 0)) {
    led.style.opacity = String(Math.max(...steps.map((step) => step[2])) || 0.12);
    return;
  }
  led.style.opacity = "";
  const frames = [];
  let at = 0;
  for (const [on, off, level] of steps) {
    frames.push({ opacity: level, offset: at / period, easing: "steps(1, end)" });
    frames.push({ opacity: 0.12, offset: Math.min(1, (at + on) / period), easing: "steps(1, end)" });
    at += on + off;
  }
  frames.push({ opacity: 0.12, offset: 1 });
  led.animate(frames, { duration: period * 1000, iterations: Infinity });
}

// A chart's data-chart is what uPlot draws: {kind, x, series: [{label, values, level}], unit, across, time, log}.
// zone: where the hours of x are (IANA), so that they are the same in every browser.
const drawn = new WeakMap();
function drawCharts(root, again = false) {
  for (const place of root.querySelectorAll("[data-chart]")) {
    const before = drawn.get(place);
    if (before && before.text === place.dataset.chart && !again) continue;
    if (before) before.plot.destroy();
    drawn.set(place, { text: place.dataset.chart, plot: chart(place, JSON.parse(place.dataset.chart)) });
  }
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function chart(place, wanted) {
  const axis = { stroke: colour("dim"), grid: { stroke: colour("line") }, ticks: { stroke: colour("line") } };
  const shapes = {
    line: (series) => ({ stroke: colour(series.level), width: 2, points: { show: false } }),
    points: (series) => ({ stroke: colour(series.level), paths: () => null, points: { show: true, size: 6 } }),
    bars: (series) => ({
      stroke: colour(series.level), fill: colour(series.level), paths: uPlot.paths.bars({ size: [0.7, 40] }),
      points: { show: false },
    }),
  };
  // On a logarithmic axis some marks have no words.
  const units = (unit) => (_, ticks) => ticks.map((tick) => (tick === null ? "" : `${tick} ${unit || ""}`));
  const bottom = wanted.zone ? { ...axis, values: hours(wanted) }
    : wanted.across ? { ...axis, values: units(wanted.across) } : axis;
  const options = {
    ...(wanted.zone ? { tzDate: (at) => uPlot.tzDate(new Date(at * 1000), wanted.zone) } : {}),
    width: Math.max(280, place.clientWidth),
    height: 220,
    legend: { show: wanted.series.length > 1 },
    cursor: { drag: { x: false, y: false } },
    scales: {
      x: { time: wanted.time === true, distr: wanted.log ? 3 : 1, ...(wanted.kind === "bars" ? { range: room } : {}) },
      y: { distr: wanted.log ? 3 : 1, ...(wanted.kind === "bars" ? { range: (_, low, high) => [0, 1.05 * high || 1] } : {}) },
    },
    axes: [bottom, { ...axis, size: 64, values: units(wanted.unit) }],
    series: [{}, ...wanted.series.map((series) => ({
      label: series.label, ...shapes[series.kind || wanted.kind || "line"](series),
    }))],
  };
  return new uPlot(options, [wanted.x, ...wanted.series.map((series) => series.values)], place);
}

// Bars stand on nothing, and the first and the last have room for their whole width.
function room(plot, first, last) {
  const x = plot.data[0];
  const half = x.length > 1 ? (x[1] - x[0]) / 2 : Math.abs(x[0]) / 2 || 0.5;
  return [first - half, last + half];
}

// Days on an axis of more than two of them, else the time of day.
function hours({ x, zone }) {
  const shown = x.at(-1) - x[0] > 172800 ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit" };
  const words = new Intl.DateTimeFormat("en-GB", { ...shown, timeZone: zone });
  return (_, ticks) => ticks.map((tick) => words.format(tick * 1000));
}

function wake(root) {
  root.querySelectorAll("[data-steps]").forEach(beat);
  drawCharts(root);
}

// What went well is told for a while; what did not stays until something else is told.
const MARKS = { ok: "✓", warn: "!", fail: "✗" };
const TOLD_MS = 15000;
function say(text, level) {
  const line = document.createElement("p");
  const mark = document.createElement("b");
  line.className = `notice ${level}`;
  mark.setAttribute("aria-hidden", "true");
  mark.textContent = MARKS[level];
  line.append(mark, ` ${text}`);
  document.getElementById("said").replaceChildren(line);
  if (level === "ok") setTimeout(() => line.remove(), TOLD_MS);
}

document.addEventListener("DOMContentLoaded", () => wake(document));
document.addEventListener("htmx:afterSettle", () => wake(document));
// What a chart drew inside itself is its own: the morph must not take it away.
document.addEventListener("htmx:beforeSwap", () => {
  if (window.Idiomorph) {
    Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, fresh) =>
      !(old.nodeType === 1 && old.hasAttribute("data-chart") && fresh.nodeType === 1
        && fresh.dataset.chart === old.dataset.chart) && !(old.nodeType === 1 && old.closest?.(".keep"));
    // What a reader has unfolded stays so.
    Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
      !(name === "open" && node.tagName === "DETAILS");
  }
});

let lost = false;
document.addEventListener("htmx:sseError", () => {
  if (!lost) say("The dashboard does not answer; what is shown may be old.", "warn");
  lost = true;
});
document.addEventListener("htmx:sseOpen", () => {
  if (lost) say("The dashboard answers again.", "ok");
  lost = false;
});
document.addEventListener("htmx:responseError", (event) => {
  const text = event.detail.xhr.getResponseHeader("X-Said");
  if (text) say(decodeURIComponent(text), "fail");
});
// An action answers with what it did in words; the page itself follows by the events.
document.addEventListener("htmx:afterRequest", (event) => {
  const text = event.detail.xhr.getResponseHeader("X-Said");
  if (text && event.detail.successful) say(decodeURIComponent(text), "ok");
});
addEventListener("resize", () => drawCharts(document, true));

// --- run.html: a log that is followed while its run goes on ---
// data-log is where its parts are; they come as text, and their headers say where each begins and ends.
const MOST_LOG = 1000000; // characters kept on the page: what lies before can be asked for again
const LOG_EVERY = 1000;
const LOG_AGAIN = 5000; // ms to wait after an answer did not come

function readLog(box) {
  if (box.dataset.read) return;
  box.dataset.read = "yes";
  const text = box.querySelector("pre");
  const note = box.querySelector("[data-note]");
  const earlier = box.querySelector("[data-earlier]");
  const ask = async (wanted) => {
    const answer = await fetch(`${box.dataset.log}?${new URLSearchParams(wanted)}`);
    const said = (name) => answer.headers.get(`X-Log-${name}`) || "";
    // Without a session the answer is the page to sign in on, and no part of a log.
    const ok = answer.ok && !answer.redirected;
    return { ok, text: ok ? await answer.text() : "", said };
  };
  const atEnd = () => text.scrollHeight - text.scrollTop - text.clientHeight < 40;
  const toEnd = () => { text.scrollTop = text.scrollHeight; };
  const begins = (start) => {
    box.dataset.start = start;
    earlier.hidden = !start;
    earlier.href = `${box.dataset.log}?before=${start}`;
  };

  async function goOn() {
    if (!box.isConnected) return;
    let wait = LOG_EVERY;
    if (!document.hidden) {
      try {
        const isFirst = !box.dataset.end;
        const part = await ask(isFirst ? {} : { after: box.dataset.end });
        if (part.ok) {
          const stick = atEnd();
          if (isFirst) begins(part.said("Start"));
          box.dataset.end = part.said("End");
          const remark = decodeURIComponent(part.said("Note"));
          if (remark) text.append(`\n--- ${remark} ---\n`);
          if (part.text) text.append(part.text);
          if (text.textContent.length > MOST_LOG) {
            text.textContent = part.text;
            begins(part.said("Start"));
          }
          if (stick) toEnd();
          const isOver = part.said("State") === "over";
          note.textContent = isOver ? "The run is over." : "Followed as it is written.";
          if (part.said("More") === "yes") wait = 0;
          else if (isOver) return;
        } else {
          wait = LOG_AGAIN;
        }
      } catch {
        wait = LOG_AGAIN;
      }
    }
    setTimeout(goOn, wait);
  }

  let asking = false;
  earlier.addEventListener("click", async (event) => {
    event.preventDefault();
    if (asking) return;
    asking = true;
    const part = await ask({ before: box.dataset.start }).catch(() => null);
    asking = false;
    if (!part || !part.ok) return;
    const height = text.scrollHeight;
    text.prepend(part.text);
    text.scrollTop += text.scrollHeight - height;
    begins(part.said("Start"));
  });
  toEnd();
  if (box.dataset.state === "open") goOn();
}

const readLogs = () => document.querySelectorAll("[data-log]").forEach(readLog);
document.addEventListener("DOMContentLoaded", readLogs);
document.addEventListener("htmx:afterSettle", readLogs);
