"""The page's style sheet: light and dark, screen, telephone and paper."""

CSS = """
:root { color-scheme: light dark; --ink:#1b1f24; --soft:#5a6370; --line:#d9dee4; --ground:#fff; --card:#f5f7f9;
  --good:#00674c; --bad:#b03a00; --link:#0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6e9ed; --soft:#a0a9b4; --line:#363d46; --ground:#14171b;
  --card:#1d2228; --good:#4cc9a4; --bad:#ff9a66; --link:#7db7f0; } }
* { box-sizing: border-box; }
body { margin:0 auto; max-width:66rem; padding:1.6rem 1.2rem 3rem; color:var(--ink); background:var(--ground);
  font:16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap:break-word; }
h1 { font-size:1.5rem; line-height:1.25; margin:0; letter-spacing:-.01em; }
h2 { font-size:1.15rem; margin:2.4rem 0 .5rem; padding-top:.9rem; border-top:1px solid var(--line); }
p, ul { margin:.5rem 0; max-width:46rem; }
ul { padding-left:1.2rem; } li { margin:.3rem 0; }
a { color:var(--link); }
small { display:block; color:var(--soft); font-size:.8em; font-weight:400; }
header p, .lead { color:var(--soft); }
header p { margin:.2rem 0 0; }
.device { font-weight:600; color:var(--ink); }
.headline { font-size:1.45rem; line-height:1.35; margin:.8rem 0 1rem; max-width:52rem; text-wrap:balance; }
.status { display:inline-block; margin:1.2rem 0 0; padding:.15rem .7rem; border-radius:1rem; font-size:.9rem;
  border:1px solid currentColor; color:var(--bad); }
.status.completed { color:var(--good); }
.status b { text-transform:capitalize; margin-right:.3rem; }
.tiles { display:grid; grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr)); gap:.7rem; margin:1rem 0; }
.tile { background:var(--card); border-radius:.6rem; padding:.8rem 1rem; }
.tile b { display:block; font-size:1.7rem; line-height:1.2; font-variant-numeric:tabular-nums; }
.tile span { display:block; } .tile small { margin-top:.2rem; }
.charts { display:flex; flex-wrap:wrap; gap:.6rem 1.6rem; margin:.8rem 0; align-items:flex-start; }
.charts.pairs { display:grid; grid-template-columns:repeat(auto-fit,minmax(17rem,1fr)); max-width:46rem; }
.chart { width:100%; height:auto; display:block; color:var(--ink); stroke-linejoin:round; flex:0 1 auto; }
.scroll { overflow-x:auto; margin:.8rem 0; }
table { border-collapse:collapse; font-size:.9rem; font-variant-numeric:tabular-nums; }
th, td { padding:.35rem .7rem; text-align:right; border-bottom:1px solid var(--line); vertical-align:top; }
thead th { font-weight:600; color:var(--soft); vertical-align:bottom; }
th:first-child { text-align:left; padding-left:0; font-weight:600; color:var(--ink); }
td small { white-space:nowrap; }
.up { color:var(--good); } .down { color:var(--bad); }
.heat td, .grid td { padding:1px; border:0; }
.heat th, .grid th, .heat td, .grid td { border:0; white-space:nowrap; vertical-align:middle; }
.heat thead th { padding:.2rem .4rem; }
.cell { display:block; padding:.5rem .7rem; min-width:3.4rem; text-align:center; border-radius:.25rem; }
.dense { font-size:.72rem; } .dense .cell { min-width:2.3rem; padding:.25rem .2rem; }
.grid { font-size:.8rem; } .grid thead th { padding:.2rem 1px; min-width:1.1rem; }
.grid thead th:not(:first-child), .heat thead th:not(:first-child) { text-align:center; }
.grid td { text-align:center; white-space:nowrap; }
.grid td:nth-last-child(-n+4), .grid thead th:nth-last-child(-n+4) { padding-left:.7rem; text-align:right; }
.o { display:inline-block; width:1.15rem; line-height:1.35rem; text-align:center; border-radius:.2rem; }
.o.accepted { background:#cfe6f5; color:#0b3d5c; } .o.late { background:#f3d27a; color:#3d2c00; }
.o.refused { background:#d9c6e8; color:#3a1d52; } .o.failed { background:#c4441a; color:#fff; }
.o.invalid { background:#3b3f45; color:#fff; } .o.offline { background:#b9c0c8; color:#22272d; }
.key { color:var(--soft); font-size:.88rem; } .key .o { margin-left:.5rem; font-size:.8rem; }
.key > span:not(.o) { margin-right:1rem; padding-bottom:1px; color:var(--ink); }
.example { margin:1.2rem 0; } .example p { margin:.2rem 0 .4rem; }
.example p b { text-transform:capitalize; margin-right:.4rem; }
.pictures { display:grid; grid-template-columns:repeat(4,1fr); gap:.4rem; }
figure { margin:0; } figcaption { font-size:.78rem; color:var(--soft); }
img { display:block; width:100%; height:auto; border-radius:.3rem; background:#000; }
.notes { background:var(--card); border-left:4px solid #e69f00; border-radius:.3rem; padding:.5rem 1rem; }
.notes h2 { border:0; margin:.2rem 0; padding:0; font-size:1rem; }
pre { background:var(--card); padding:.9rem 1rem; border-radius:.5rem; overflow-x:auto; font-size:.8rem;
  line-height:1.45; font-family:ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
dt { font-weight:600; margin-top:.6rem; } dd { margin:0; max-width:46rem; color:var(--soft); }
footer { margin-top:3rem; padding-top:.8rem; border-top:1px solid var(--line); color:var(--soft);
  font-size:.88rem; }
@media (max-width:40rem) { body { padding:1rem .9rem 2rem; } .headline { font-size:1.2rem; }
  .pictures { grid-template-columns:repeat(2,1fr); } th, td { padding:.3rem .45rem; } }
@media print { :root { --ink:#000; --soft:#444; --line:#bbb; --ground:#fff; --card:#f3f4f6; --good:#00674c;
  --bad:#b03a00; --link:#000; color-scheme:light; } body { max-width:none; padding:0; font-size:10.5pt; }
  .cell, .o, img, .tile, .notes { -webkit-print-color-adjust:exact; print-color-adjust:exact; }
  section, .example, .tile, tr { break-inside:avoid; } h2 { break-after:avoid; }
  #configuration { break-inside:auto; }
  .grid .o { width:.72rem; font-size:6pt; } .dense .cell { min-width:0; font-size:6pt; padding:1px; }
  pre { white-space:pre-wrap; } .scroll { overflow:visible; } }
"""
