// The parts of the page that are the same for every prediction.
#ifndef STOWAGE_TRAINER_PLAN_PLAN_HTML_PARTS_H_
#define STOWAGE_TRAINER_PLAN_PLAN_HTML_PARTS_H_

namespace stowage {

inline constexpr char kPlanStyle[] = R"css(
:root{color-scheme:light dark;--page:#fff;--text:#222;--soft:#666;--line:#ddd;--good:#0a7a3d;--bad:#c00}
@media (prefers-color-scheme:dark){
:root{--page:#16181c;--text:#e4e6ea;--soft:#a0a4ab;--line:#33373e;--good:#4cc38a;--bad:#ff6b6b}
}
body{margin:0 auto;padding:1.5rem;max-width:1240px;background:var(--page);color:var(--text);
font:14px/1.45 system-ui,"DejaVu Sans",sans-serif}
h1{font-size:1.4rem;margin:0 0 .3rem}
h2{font-size:1.1rem;margin:1.8rem 0 .5rem}
p{margin:.3rem 0}
.soft{color:var(--soft)}
.verdict{font-weight:600}
.fits{color:var(--good)}
.short{color:var(--bad)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.15rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child,.name{text-align:left}
tfoot td{font-weight:600;border-bottom:0}
.scroll{overflow:auto;max-height:32rem}
.scroll thead th{position:sticky;top:0;background:var(--page)}
svg.md{width:100%;height:auto;display:block;touch-action:pan-y}
svg.md:focus{outline:2px solid var(--soft)}
.cursor{stroke:var(--text);stroke-width:1;pointer-events:none}
.read-out{min-height:3.2em;border:1px solid var(--line);border-radius:4px;padding:.4rem .7rem;white-space:pre-wrap}
button{font:inherit;color:inherit;background:none;border:0;padding:0;text-decoration:underline;cursor:pointer}
.js{display:none}
.has-js .js{display:block}
)css";

// Reads the JSON of #plan-data: {"phases": {name: [[label, micro-batch, peak, end, {category: peak}, {category: end}]]},
// "outside": bytes or null}. Numbers above 2^53 lose their last digits, which a size of one decimal does not show.
inline constexpr char kPlanScript[] = R"js(
(function () {
'use strict';
const plan = JSON.parse(document.getElementById('plan-data').textContent);
const svgName = 'http://www.w3.org/2000/svg';
document.documentElement.classList.add('has-js');

// As base/byte_size.h says it on the terminal: one decimal, ties to the even digit.
function oneDecimal(x) {
  const tenths = x * 10, down = Math.floor(tenths), rest = tenths - down;
  const rounded = rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down;
  return (rounded / 10).toFixed(1).replace(/\.0$/, '');
}
function size(bytes) {
  const units = ['PiB', 'TiB', 'GiB', 'MiB', 'KiB'];
  for (let i = 0; i < units.length; ++i) {
    const unit = Math.pow(1024, 5 - i);
    if (Math.abs(bytes) >= unit * 0.99995) return (bytes < 0 ? '-' : '') + oneDecimal(Math.abs(bytes) / unit) + ' ' + units[i];
  }
  return bytes + ' B';
}
function parts(bytes) {
  const words = Object.keys(bytes).filter(function (name) { return bytes[name] !== 0; })
      .map(function (name) { return name + ' ' + size(bytes[name]); });
  return words.length ? ' (' + words.join(', ') + ')' : '';
}
// What is said of an instruction, counted from 1; empty where there is none.
function readOut(phase, number) {
  const played = plan.phases.hasOwnProperty(phase) ? plan.phases[phase] : [];
  if (!(number >= 1 && number <= played.length)) return '';
  const i = played[number - 1];
  const lines = [
    number + ' of ' + played.length + ': ' + i[0] + (i[1] >= 0 ? ', micro-batch ' + i[1] : ''),
    'tensors at its peak ' + size(i[2]) + parts(i[4]),
    'tensors at its end ' + size(i[3]) + parts(i[5])];
  if (plan.outside !== null) {
    lines[1] += '; with what lies outside of tensors ' + size(i[2] + plan.outside);
  }
  return lines.join('\n');
}

const drawings = Array.from(document.querySelectorAll('section[data-phase]')).map(function (section) {
  const svg = section.querySelector('svg.md');
  const number = function (name) { return Number(svg.getAttribute('data-' + name)); };
  return {section: section, svg: svg, output: section.querySelector('.read-out'), at: 0,
          phase: section.getAttribute('data-phase'), count: number('count'), left: number('left'),
          right: number('right'), top: number('top'), bottom: number('bottom'), cursor: null};
});

function show(drawing, instruction) {
  const text = readOut(drawing.phase, instruction);
  if (text === '') return false;
  drawing.at = instruction;
  drawing.output.textContent = text;
  if (!drawing.cursor) {
    drawing.cursor = document.createElementNS(svgName, 'line');
    drawing.cursor.setAttribute('class', 'cursor');
    drawing.svg.appendChild(drawing.cursor);
  }
  const x = drawing.left + (drawing.right - drawing.left) * (instruction - 0.5) / drawing.count;
  const ends = {x1: x, x2: x, y1: drawing.top, y2: drawing.bottom};
  Object.keys(ends).forEach(function (name) { drawing.cursor.setAttribute(name, ends[name]); });
  return true;
}

drawings.forEach(function (drawing) {
  const svg = drawing.svg;
  svg.setAttribute('tabindex', '0');
  svg.addEventListener('pointermove', function (event) {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    const share = (x - drawing.left) / (drawing.right - drawing.left);
    show(drawing, Math.floor(share * drawing.count) + 1);
  });
  svg.addEventListener('keydown', function (event) {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (step && show(drawing, drawing.at + step)) event.preventDefault();
  });
  drawing.section.querySelectorAll('button[data-sort]').forEach(function (button) {
    button.addEventListener('click', function () {
      const body = drawing.section.querySelector('tbody');
      const rows = Array.from(body.rows);
      const key = button.getAttribute('data-sort'), sign = key === 'peak' ? -1 : 1;
      rows.sort(function (a, b) { return sign * (Number(a.dataset[key]) - Number(b.dataset[key])) || a.dataset.order - b.dataset.order; });
      rows.forEach(function (row) { body.appendChild(row); });
    });
  });
});

function showFragment() {
  let words;
  try { words = decodeURIComponent(location.hash); } catch (error) { return; }
  const match = /^#at=(?:(.+):)?([0-9]+)$/.exec(words);
  if (!match) return;
  const drawing = drawings.find(function (d) { return match[1] === undefined || d.phase === match[1]; });
  if (drawing) show(drawing, Number(match[2]));
}
window.addEventListener('hashchange', showFragment);
showFragment();
})();
)js";

}  // namespace stowage

#endif  // STOWAGE_TRAINER_PLAN_PLAN_HTML_PARTS_H_
