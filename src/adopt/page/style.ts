/** The page's whole style: light and dark by the reader's setting, one sheet for screen and paper, nothing from elsewhere. */
export const style = `
:root{color-scheme:light dark;
--paper:#fbfaf8;--card:#fff;--ink:#1d1f24;--soft:#5d6470;--line:#e2e0db;--hover:#f1efea;
--root:#5b3fd6;--owned:#0b7285;--join:#1971c2;--shared:#868e96;--undecided:#c2410c;--focus:#1c7ed6}
@media (prefers-color-scheme:dark){:root{
--paper:#15171b;--card:#1e2127;--ink:#e9e8e4;--soft:#a2a8b3;--line:#33373f;--hover:#262a31;
--root:#a594ff;--owned:#3bc9db;--join:#74c0fc;--shared:#909aa6;--undecided:#ff9447;--focus:#74c0fc}}
*{box-sizing:border-box}
html{scroll-behavior:smooth}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;font-variant-numeric:tabular-nums}
header,main,footer{max-width:1240px;margin:0 auto;padding:0 28px}
header{padding-top:40px}
h1{font-size:27px;line-height:1.2;letter-spacing:-.015em;margin:0 0 6px}
h2{font-size:18px;letter-spacing:-.01em;margin:44px 0 6px}
p{margin:0 0 12px;max-width:76ch}
.lead,.hint,footer{color:var(--soft)}
.hint{font-size:13px}
code,.name{font-family:ui-monospace,"SF Mono",SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
code{font-size:.9em}
a{color:inherit}
:focus-visible{outline:2px solid var(--focus);outline-offset:2px;border-radius:4px}
.skip{position:absolute;left:-9999px}
.skip:focus{left:28px;top:10px;background:var(--card);padding:6px 12px}
dl{display:flex;flex-wrap:wrap;gap:0 40px;margin:22px 0 0;padding:14px 0;border-block:1px solid var(--line)}
dl div{min-width:90px}
dt{font-size:12px;color:var(--soft)}
dd{margin:0;font-size:19px;font-weight:600;letter-spacing:-.01em}
.alert{border-left:4px solid var(--undecided);background:var(--card);padding:12px 18px;margin:26px 0 0;border-radius:0 8px 8px 0}
.alert h2{margin:0 0 4px;font-size:16px}
.alert ul{margin:0;padding-left:20px}
.legend{display:flex;flex-wrap:wrap;gap:4px 22px;list-style:none;margin:8px 0 10px;padding:0;font-size:13px;color:var(--soft)}
.legend li{display:flex;align-items:center;gap:7px}
.legend svg{flex:none;overflow:visible}
.frame{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px}
.graph{display:block;max-width:100%;height:auto;min-width:760px;margin:0 auto}
.band{font-size:12px;fill:var(--soft);paint-order:stroke;stroke:var(--card);stroke-width:5px;stroke-linejoin:round}
.card{fill:var(--card);stroke:var(--line);stroke-width:1}
.root .card{stroke:var(--root);stroke-width:2}
.undecided .card{stroke:var(--undecided);stroke-width:1.5;stroke-dasharray:4 3}
.shared .card{stroke-dasharray:1.5 2.5;stroke:var(--shared)}
.bar{fill:var(--owned)}
.root .bar{fill:var(--root)}.join .bar{fill:var(--join)}.shared .bar{fill:var(--shared)}.undecided .bar{fill:var(--undecided)}
text.name{font-size:12px;font-weight:600;fill:var(--ink)}
text.note{font-size:10.5px;fill:var(--soft)}
.node{text-decoration:none}
a.node:hover .card,a.node:focus-visible .card{fill:var(--hover);stroke:var(--focus);stroke-width:2}
a.node:focus-visible{outline:none}
.edge{fill:none;stroke:var(--soft);stroke-width:1;opacity:.6}
.edge.via{stroke:var(--owned);stroke-width:2.2;opacity:.75}
.edge.plain{stroke:var(--shared);stroke-dasharray:1.5 3;opacity:.55}
.quiet .edge.plain{opacity:.06}.quiet .edge.check{opacity:.12}.quiet .edge.via{stroke-width:1.6;opacity:.3}
.compact text.name{font-size:11px;font-weight:500}
.end{fill:var(--soft)}.end.via{fill:var(--owned)}.end.plain{fill:var(--shared)}
.graph:has(a.node:is(:hover,:focus-visible)) .edge{opacity:.08}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13.5px}
caption{text-align:left;color:var(--soft);font-size:13px;padding-bottom:8px}
th,td{text-align:left;vertical-align:top;padding:7px 14px 7px 0;border-bottom:1px solid var(--line)}
thead th{font-size:12px;font-weight:500;color:var(--soft);border-bottom-color:var(--soft);white-space:nowrap}
tbody th{font-weight:600;max-width:34ch;overflow-wrap:break-word}
.number{text-align:right;white-space:nowrap}
tr:target>*{background:var(--hover)}
.class{white-space:nowrap}
.class::before{content:"";display:inline-block;width:9px;height:9px;border-radius:3px;margin-right:7px;background:var(--owned)}
.class.root::before{background:var(--root)}.class.join::before{background:var(--join)}
.class.shared::before{background:none;border:1.5px dotted var(--shared)}.class.undecided::before{background:none;border:1.5px dashed var(--undecided)}
.class.undecided{color:var(--undecided);font-weight:600}
.low{color:var(--undecided)}
td{overflow-wrap:break-word}
.tables td:last-child{min-width:30ch;overflow-wrap:anywhere}
.phases td:first-of-type{min-width:30ch}
footer{margin-top:48px;padding-bottom:48px;font-size:13px}
@media (max-width:720px){header,main,footer{padding-inline:16px}}
@media print{
:root{color-scheme:light;--paper:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;--hover:#fff;--root:#4527c4;--owned:#075a69;--join:#12568f;--shared:#666;--undecided:#a53708}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
@page{size:A4 landscape;margin:12mm}
body{font-size:11px}
header,main,footer{max-width:none;padding:0}
.skip,.hint{display:none}
.frame{overflow:visible;padding:0;border:0}
.graph{min-width:0;width:100%;max-height:165mm}
.scroll{overflow:visible}
table{font-size:10px}
thead{display:table-header-group}
tr,.alert,dl{break-inside:avoid}
h2{break-after:avoid}
}`;
