// The explorer's page: controls in, pictures out. `DATA` and what it calls come from network.js.

const data = read(DATA);
const root = document.querySelector(".explorer");
const form = root.querySelector("form");
const control = form.elements;
const fill = (name, text) => root.querySelectorAll(`[data-text=${name}]`).forEach((place) => (place.textContent = text));
const language = (label) => (label < data.english ? "English" : "German");
const percent = (share) => `${Math.round(100 * share)} %`;
// All plots share one time axis: the grid, and as long as the slowest axon needs.
const slowest = Math.max(...data.networks.map((n) => n.delays.reduce((sum, d) => sum + Math.ceil(Math.max(...d)), 0)));
const end = data.nBins + slowest;
let seed = 0;
let shown = null; // what is on the page, for the tests

function set() {
  const words = [...new Set(data.words.map((w) => w.word))];
  const voices = [...new Set(data.words.map((w) => w.voice))];
  const label = (word) => data.classes.indexOf(word);
  control.word.replaceChildren(...words.map((w) => new Option(`${w} (${language(label(w))})`, w, w === data.start, w === data.start)));
  control.voice.replaceChildren(...voices.map((v) => new Option(String(v), v)));
  fill("nUnits", data.nUnits);
  const rows = data.networks.map((n) => {
    const row = document.createElement("tr");
    row.append(...[n.label, percent(n.test.clean), percent(n.test.reversed)].map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }));
    return row;
  });
  root.querySelector("[data-text=accuracy]").replaceChildren(...rows);
  const template = root.querySelector("template");
  for (const network of data.networks) {
    const card = template.content.cloneNode(true);
    card.querySelector(".name").textContent = network.label;
    template.parentNode.append(card);
  }
}

function chosen() {
  return data.words.find((w) => w.word === control.word.value && String(w.voice) === control.voice.value);
}

function update() {
  const word = chosen();
  const change = { f: Number(control.f.value), jitter: Number(control.jitter.value), reverse: control.reverse.checked, seed };
  control.f.nextElementSibling.value = percent(change.f);
  control.jitter.nextElementSibling.value = `${change.jitter} ms`;
  const spikes = changed(word.spikes, change, data.binMs);
  const responses = data.networks.map((network) => respond(network, spikes));
  raster(root.querySelector("[data-plot=input]"), [spikes], 150);
  const all = responses.flatMap((r) => Array.from(r.evidence));
  const range = [Math.min(...all), Math.max(...all)];
  root.querySelectorAll(".network").forEach((card, k) => show(card, responses[k], word, range));
  root.querySelector(".both").replaceChildren(...responses.map((response, k) => {
    const line = document.createElement("span");
    line.textContent = `${data.networks[k].label}: ${said(response, word.label)}`;
    return line;
  }));
  shown = { word, change, spikes, responses };
}

function said({ decision }, label) {
  return decision < 0 ? "no answer" : `“${data.classes[decision]}” ${decision === label ? "✓" : "✗"}`;
}

function show(card, response, word, range) {
  const { probabilities, decision } = response;
  const answer = card.querySelector(".answer");
  answer.textContent = decision < 0 ? "no answer" : `“${data.classes[decision]}” `;
  if (decision >= 0) {
    const verdict = document.createElement("small");
    verdict.textContent = `${decision === word.label ? "right" : "wrong"}, ${percent(probabilities[decision])} sure`;
    answer.append(verdict);
  }
  const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a]).slice(0, 3);
  card.querySelector(".likely").replaceChildren(...order.map((label) => {
    const item = document.createElement("li");
    const bar = document.createElement("i");
    bar.style.width = `${100 * probabilities[label]}%`;
    const share = document.createElement("b");
    share.textContent = percent(probabilities[label]);
    item.append(data.classes[label], bar, share);
    return item;
  }));
  raster(card.querySelector(".hidden"), response.hidden, 150);
  lines(card.querySelector(".evidence"), response, word.label, range, 150);
}

// Pictures: SVG as text, in units of the screen's pixels, so that letters keep their size on a phone.

const LEFT = 30;
const BELOW = 18;

function frame(place, height, inside, top, bottom) {
  const width = Math.max(place.clientWidth, 200);
  const x = (bin) => LEFT + ((width - LEFT - 8) * bin) / end;
  const ticks = [];
  for (let ms = 0; ms / data.binMs <= end; ms += 500) {
    const at = x(ms / data.binMs).toFixed(1);
    ticks.push(`<path class="axis" d="M${at},${height}v4"/><text x="${at}" y="${height + 16}" text-anchor="middle">${ms}</text>`);
  }
  const unit = `<text x="${width}" y="${height - 5}" text-anchor="end">ms</text>`;
  const scale = `<text x="${LEFT - 5}" y="10" text-anchor="end">${top}</text><text x="${LEFT - 5}" y="${height}" text-anchor="end">${bottom}</text>`;
  const axes = `<path class="axis" d="M${LEFT},0V${height}H${width}"/>`;
  place.innerHTML = `<svg viewBox="0 0 ${width} ${height + BELOW}" aria-hidden="true">${inside(x)}${axes}${ticks.join("")}${unit}${scale}</svg>`;
}

function raster(place, layers, height) {
  const total = layers.reduce((sum, layer) => sum + layer.nUnits, 0);
  const y = (unit) => height - (height * (unit + 0.5)) / total;
  frame(place, height, (x) => {
    const size = Math.max(1.6, Math.min(2.6, x(1) - x(0)));
    let below = 0;
    let dots = "";
    let edges = "";
    for (const layer of layers) {
      if (below) edges += `<path class="edge" d="M${x(0)},${y(below - 0.5)}H${x(end)}"/>`;
      layer.units.forEach((unit, s) => {
        dots += `M${x(layer.bins[s]).toFixed(1)},${(y(unit + below) - size / 2).toFixed(1)}h${size}v${size}h-${size}z`;
      });
      below += layer.nUnits;
    }
    return `${edges}<path class="spikes" d="${dots}"/>`;
  }, total, 0);
}

function lines(place, response, label, [low, high], height) {
  const { evidence, nClasses, decision } = response;
  const y = (value) => height - (height * (value - low)) / (high - low || 1);
  frame(place, height, (x) => {
    const path = (c) => {
      let d = "";
      for (let t = 0; t * nClasses < evidence.length; t++) d += `${t ? "L" : "M"}${x(t).toFixed(1)},${y(evidence[t * nClasses + c]).toFixed(1)}`;
      return d;
    };
    const all = Array.from({ length: nClasses }, (_, c) => path(c)).join("");
    const answered = decision < 0 ? "" : `<path class="answered" d="${path(decision)}"/>`;
    return `<path class="words" d="${all}"/>${answered}<path class="spoken" d="${path(label)}"/>`;
  }, high.toFixed(0), low.toFixed(0));
}

// Sound: mu-law bytes as they were encoded in lib.explorer.sounds.

let playing = null;

function listen() {
  playing ??= new AudioContext();
  const code = control.reverse.checked ? chosen().sound.slice().reverse() : chosen().sound;
  const buffer = playing.createBuffer(1, code.length, data.sampleRate);
  const sound = buffer.getChannelData(0);
  code.forEach((byte, i) => {
    const compressed = byte / 127.5 - 1;
    sound[i] = (Math.sign(compressed) * Math.expm1(Math.abs(compressed) * Math.log1p(255))) / 255;
  });
  const source = playing.createBufferSource();
  source.buffer = buffer;
  source.connect(playing.destination);
  source.start();
  return sound;
}

let waiting = false;

function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    update();
  });
}

set();
update();
form.addEventListener("input", soon);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => {
  const [word, voice] = [control.word.value, control.voice.value];
  setTimeout(() => {
    [control.word.value, control.voice.value] = [word, voice];
    update();
  });
});
control.listen.addEventListener("click", listen);
control.again.addEventListener("click", () => {
  seed += 1;
  update();
});
new ResizeObserver(soon).observe(root);
window.explorer = { data, respond, changed, listen, shown: () => shown };
