/// How the report looks: one style sheet, light and dark, narrow and wide. Blue and orange are told apart by everybody (Okabe and Ito 2008).
#pragma once

namespace lamina::detail::html {

inline constexpr const char* report_style = R"css(
:root {
  color-scheme: light dark;
  --page: #fbfbf9; --panel: #f1f1ed; --ink: #1c1f22; --soft: #5c6268; --line: #dfdfd9; --strong: #b9bab4;
  --blue: #0b62a4; --orange: #c2500b; --blue-rgb: 11 98 164; --orange-rgb: 184 76 8; --on-heat: #fff;
  --wait: #d55e00; --forward: #56b4e9; --backward: #0072b2; --update: #009e73; --check: #cc79a7; --rest: #a3a6a8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #131517; --panel: #1d2023; --ink: #e6e7e8; --soft: #a0a6ac; --line: #2c3034; --strong: #565c62;
    --blue: #6cb8f0; --orange: #f39a4a; --blue-rgb: 86 170 235; --orange-rgb: 240 140 50; --on-heat: #0c0e10;
    --wait: #e8792c; --forward: #8fd0f7; --backward: #3f97d6; --update: #35b891; --check: #d793b8; --rest: #72787d;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: clamp(1.25rem, 4vw, 3rem) clamp(1rem, 4vw, 2.5rem) 4rem; }
h1 { margin: 0; font-size: clamp(1.5rem, 1.2rem + 1.2vw, 2rem); line-height: 1.2; font-weight: 650; letter-spacing: -0.015em; overflow-wrap: anywhere; }
h2 { margin: 0 0 1rem; font-size: 1.1875rem; line-height: 1.3; font-weight: 620; letter-spacing: -0.005em; }
h2 + .note { margin-top: -0.75rem; }
section { margin-top: 3.25rem; }
.note { margin: 0 0 1rem; color: var(--soft); font-size: 0.875rem; max-width: 44rem; }
.state { margin: 0.5rem 0 0; color: var(--soft); }
.state strong { color: var(--ink); font-weight: 600; }
.progress { height: 4px; margin-top: 1rem; background: var(--line); border-radius: 2px; overflow: hidden; }
.progress div { height: 100%; background: var(--blue); }
code, .mono { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; font-size: 0.8125rem; }
.command { display: block; margin-top: 1rem; padding: 0.625rem 0.875rem; background: var(--panel); border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1.5rem 2rem; margin: 2rem 0 0; padding: 1.5rem 0; border-block: 1px solid var(--line); }
.facts div { display: flex; flex-direction: column-reverse; justify-content: flex-end; }
.facts dt { color: var(--soft); font-size: 0.8125rem; line-height: 1.4; }
.facts dd { margin: 0; font-size: 1.625rem; line-height: 1.25; font-weight: 600; letter-spacing: -0.015em; font-variant-numeric: tabular-nums; white-space: nowrap; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 2.25rem 2.5rem; }
figure { margin: 0; min-width: 0; }
.chart { display: flex; flex-direction: column; justify-content: space-between; max-width: 42rem; }
.chart figcaption { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.125rem 1.25rem; margin-bottom: 0.375rem; }
.chart-title { font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 0.125rem 1rem; color: var(--soft); font-size: 0.8125rem; }
.key { display: inline-flex; align-items: center; gap: 0.375rem; white-space: nowrap; }
.chart > svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--soft); font-size: 12.5px; font-variant-numeric: tabular-nums; }
.tick.y { text-anchor: end; }
.tick.x, .none, .best-label { text-anchor: middle; }
.best-label.start { text-anchor: start; }
.best-label.end { text-anchor: end; }
.none { font-size: 14px; }
.grid { stroke: var(--line); }
.base { stroke: var(--strong); }
.best { stroke: var(--strong); stroke-dasharray: 3 3; }
.curve { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.dot { fill: currentColor; }
.ring { stroke: var(--page); stroke-width: 2; }
.training { color: var(--orange); }
.training .curve { stroke-width: 1.5; }
.training .dot { fill: var(--page); stroke: currentColor; stroke-width: 1.5; }
.validation { color: var(--blue); }
.rate { color: var(--soft); }
.column { fill: transparent; }
.column:hover { fill: rgb(var(--blue-rgb) / 0.09); }
.bar.wait { fill: var(--wait); } .bar.forward { fill: var(--forward); } .bar.backward { fill: var(--backward); }
.bar.update { fill: var(--update); } .bar.check { fill: var(--check); } .bar.rest { fill: var(--rest); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th { font-weight: 500; text-align: left; }
thead th { color: var(--soft); font-size: 0.8125rem; vertical-align: bottom; }
td { text-align: right; }
.list th, .list td { padding: 0.375rem 0.625rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
.list th:first-child { padding-left: 0; }
.list td:last-child, .list th:last-child { padding-right: 0; }
.list thead th { border-bottom-color: var(--strong); }
.list thead th:not(.left) { text-align: right; }
.list tfoot th, .list tfoot td { border-bottom: 0; font-weight: 600; }
.list .left { text-align: left; }
.list .wraps { white-space: normal; min-width: 7rem; line-height: 1.3; overflow-wrap: anywhere; }
.list tbody tr.chosen > * { background: rgb(var(--blue-rgb) / 0.09); }
.fill { width: 100%; }
.beside { display: flex; flex-wrap: wrap; gap: 3.25rem; margin-top: 3.25rem; }
.beside section { min-width: 0; max-width: 100%; margin-top: 0; }
.beside section:last-child { flex: 1 1 25rem; }
.beside .note { max-width: 36rem; }
.heat { border-collapse: separate; border-spacing: 2px; }
.heat td { min-width: 2.375rem; height: 2.125rem; padding: 0 0.25rem; text-align: center; border-radius: 3px; background: rgb(var(--orange-rgb) / var(--v)); }
.heat td.right { background: rgb(var(--blue-rgb) / var(--v)); }
.heat td.zero { background: var(--panel); color: transparent; }
.heat td.zero:hover { color: var(--soft); }
.heat td.deep { color: var(--on-heat); }
.heat tbody th { position: sticky; left: 0; min-width: 6.5rem; max-width: 11rem; background: var(--page); padding-right: 0.625rem; text-align: right; font-size: 0.8125rem; line-height: 1.2; }
.heat thead th { padding: 0 0 0.375rem; text-align: center; }
.heat thead span { display: inline-block; writing-mode: vertical-rl; transform: rotate(180deg); max-height: 9.5rem; overflow: hidden; color: var(--ink); line-height: 1.2; text-align: left; }
.heat caption { caption-side: top; padding-bottom: 0.375rem; color: var(--soft); font-size: 0.8125rem; text-align: left; }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1.5rem 1.25rem; }
.mistakes .frame { aspect-ratio: 1; display: grid; place-items: center; background: var(--panel); border-radius: 6px; overflow: hidden; color: var(--soft); font-size: 0.8125rem; }
.mistakes img { width: 100%; height: 100%; object-fit: contain; }
.mistakes figcaption { margin-top: 0.5rem; font-size: 0.8125rem; line-height: 1.4; overflow-wrap: anywhere; }
.mistakes .said { color: var(--orange); font-weight: 600; }
.mistakes .truth { color: var(--blue); font-weight: 600; }
.mistakes .part { white-space: nowrap; }
.mistakes .file { display: block; color: var(--soft); font-size: 0.75rem; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
details { margin-top: 1.5rem; }
summary { cursor: pointer; color: var(--soft); font-size: 0.875rem; }
details .scroll { margin-top: 0.75rem; }
footer { margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: 0.8125rem; }
@media (max-width: 40rem) {
  .facts { grid-template-columns: 1fr 1fr; gap: 1.25rem 1rem; }
  .facts dd { font-size: 1.375rem; }
  .mistakes { grid-template-columns: 1fr 1fr; }
  svg text { font-size: 15px; }
  .list, .list thead th { font-size: 0.8125rem; }
  .list th, .list td { padding-inline: 0.3125rem; }
  .list .wraps { min-width: 5.5rem; }
}
@media print { section, figure { break-inside: avoid; } }
)css";

}  // namespace lamina::detail::html
