// The network and the perturbations, as in lib.kernels.naive and lib.perturb; the tests hold both to the same spikes.
// Numbers are float64. Weights and delays are whole multiples of powers of two, so that sums are exact in any order.
"use strict";

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

// Little-endian int16, times `step`.
function numbersOf(base64, step) {
  const view = new DataView(bytesOf(base64).buffer);
  return Float64Array.from({ length: view.byteLength / 2 }, (_, i) => step * view.getInt16(2 * i, true));
}

// Spikes are { bins, units, nBins, nUnits }, sorted by unit, then bin.

// One layer: axonal delays with linear interpolation between bins, weights (out, in), leaky integrate-and-fire neurons
// with threshold 1 that are reset to zero.
function layer(spikes, weights, delays, decay) {
  const nOut = weights.length / spikes.nUnits;
  const nBins = spikes.nBins + (delays ? Math.ceil(Math.max(...delays)) : 0);
  const current = currents(spikes, weights, nOut, delays, nBins);
  const potential = new Float64Array(nOut);
  const found = [];
  for (let t = 0; t < nBins; t++) {
    for (let i = 0; i < nOut; i++) {
      const v = decay * potential[i] + current[t * nOut + i];
      if (v >= 1) found.push([i, t]);
      potential[i] = v >= 1 ? 0 : v;
    }
  }
  found.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return { bins: found.map((s) => s[1]), units: found.map((s) => s[0]), nBins, nUnits: nOut };
}

// Synaptic input (time, out) of delayed spikes.
function currents(spikes, weights, nOut, delays, nBins) {
  const current = new Float64Array(nBins * nOut);
  const arrive = (unit, bin, amount) => {
    if (bin >= nBins || amount === 0) return;
    for (let i = 0; i < nOut; i++) current[bin * nOut + i] += amount * weights[i * spikes.nUnits + unit];
  };
  spikes.units.forEach((unit, s) => {
    const whole = delays ? Math.floor(delays[unit]) : 0;
    const late = delays ? delays[unit] - whole : 0;
    arrive(unit, spikes.bins[s] + whole, 1 - late);
    arrive(unit, spikes.bins[s] + whole + 1, late);
  });
  return current;
}

// What a network makes of a word: spikes of both hidden layers, evidence (time, classes), probabilities, decision.
export function respond(network, word) {
  const hidden = [];
  let spikes = word;
  network.hidden.forEach((weights, k) => {
    spikes = layer(spikes, weights, network.delays[k], network.decay);
    hidden.push(spikes);
  });
  const nClasses = network.readout.length / spikes.nUnits;
  const current = currents(spikes, network.readout, nClasses, null, spikes.nBins);
  const evidence = new Float64Array(spikes.nBins * nClasses);
  for (let c = 0; c < nClasses; c++) {
    let potential = 0;
    let sum = 0;
    for (let t = 0; t < spikes.nBins; t++) {
      potential = network.readoutDecay * potential + current[t * nClasses + c];
      sum += potential;
      evidence[t * nClasses + c] = sum / word.nBins;
    }
  }
  const last = evidence.slice(-nClasses);
  const best = Math.max(...last);
  const shares = last.map((value) => Math.exp(value - best));
  const total = shares.reduce((a, b) => a + b);
  const decision = last.filter((value) => value === best).length === 1 ? last.indexOf(best) : -1;
  return { hidden, evidence, nClasses, probabilities: shares.map((value) => value / total), decision };
}

// Random numbers of one spike: mulberry32, started from a mix of its numbers. A spike's own stream lets it move
// steadily while a slider is dragged.
function stream(...numbers) {
  let state = numbers.reduce((mixed, n) => Math.imul(mixed ^ n, 0x9e3779b1) ^ (mixed >>> 15), 0x2545f491);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

const TRIES = 50;

// Lift the moved spikes of each unit and put them down one by one, each in a free bin that `draw` gives, or beside it.
function displaced(word, moved, draw, low, high) {
  const bins = word.bins.slice();
  for (let start = 0, stop; start < bins.length; start = stop) {
    stop = start;
    const taken = new Set();
    for (; stop < bins.length && word.units[stop] === word.units[start]; stop++) if (!moved[stop]) taken.add(bins[stop]);
    for (let s = start; s < stop; s++) {
      if (!moved[s]) continue;
      const next = draw(s);
      let bin = next();
      for (let tries = 1; tries < TRIES && taken.has(bin); tries++) bin = next();
      for (let distance = 1; taken.has(bin); distance++) {
        const near = [bin - distance, bin + distance].filter((b) => b >= low && b <= high && !taken.has(b));
        if (near.length) bin = near[0];
      }
      taken.add(bin);
      bins[s] = bin;
    }
    bins.splice(start, stop - start, ...bins.slice(start, stop).sort((a, b) => a - b));
  }
  return { ...word, bins };
}

function relocated(word, f, seed) {
  const moved = word.bins.map((_, s) => stream(seed, 0, s)() < f);
  const draw = (s) => {
    const random = stream(seed, 1, s);
    return () => Math.floor(random() * word.nBins);
  };
  return displaced(word, moved, draw, 0, word.nBins - 1);
}

function jittered(word, sd, seed) {
  const first = Math.min(...word.bins);
  const last = Math.max(...word.bins);
  const span = last + 1 - first;
  const draw = (s) => {
    const random = stream(seed, 2, s);
    return () => {
      const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
      const distance = Math.abs(word.bins[s] + 0.5 + sd * normal - first) % (2 * span);
      return Math.min(first + Math.floor(Math.min(distance, 2 * span - distance)), last);
    };
  };
  return displaced(word, word.bins.map(() => true), draw, first, last);
}

function reversed(word) {
  const ends = Math.min(...word.bins) + Math.max(...word.bins);
  const order = word.bins.map((_, s) => s).sort((a, b) => word.units[a] - word.units[b] || word.bins[b] - word.bins[a]);
  return { ...word, bins: order.map((s) => ends - word.bins[s]), units: order.map((s) => word.units[s]) };
}

// f: share of relocated spikes; jitter: s.d. in ms; reverse: true or false. Every unit keeps its count.
export function changed(word, { f = 0, jitter = 0, reverse = false, seed = 0 }, binMs) {
  let spikes = f ? relocated(word, f, seed) : word;
  spikes = jitter ? jittered(spikes, jitter / binMs, seed) : spikes;
  return reverse ? reversed(spikes) : spikes;
}

export function read(data) {
  const networks = data.networks.map((n) => {
    const weights = n.weights.map((w) => numbersOf(w, data.weightStep));
    const delays = n.delays.map((d) => numbersOf(d, data.delayStep));
    return { ...n, hidden: weights.slice(0, -1), readout: weights.at(-1), delays };
  });
  const words = data.words.map((w) => ({
    ...w,
    sound: bytesOf(w.sound),
    spikes: {
      bins: Array.from(bytesOf(w.bins)),
      units: Array.from(numbersOf(w.units, 1)),
      nBins: data.nBins,
      nUnits: data.nUnits,
    },
  }));
  return { ...data, networks, words };
}
