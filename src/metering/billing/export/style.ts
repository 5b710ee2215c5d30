/** For the screen and for paper: no fonts or pictures to load, black on white, rows that do not break over a page. */
export const invoiceStyle = `
@page { size: auto; margin: 18mm 16mm; }
* { box-sizing: border-box; }
body { font: 11pt/1.45 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #16181d; background: #fff; max-width: 186mm; margin: 14mm auto; padding: 0 6mm; }
header, .facts { display: flex; justify-content: space-between; gap: 12mm; align-items: flex-start; }
address { font-style: normal; }
h1 { font-size: 22pt; line-height: 1.15; margin: 0; text-align: right; font-weight: 650; }
h1 span { display: inline-block; border: 2px solid #b42318; color: #b42318; border-radius: 4px; font-size: 12pt; padding: 0 2mm; text-transform: uppercase; vertical-align: middle; }
h2 { font-size: 9pt; margin: 0 0 1mm; color: #5b6270; font-weight: 600; }
.facts { margin: 10mm 0 8mm; }
dl { display: grid; grid-template-columns: auto auto; gap: 1mm 6mm; margin: 0; }
dt { color: #5b6270; }
dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
table { width: 100%; border-collapse: collapse; }
th { text-align: left; font-weight: 600; }
thead th { font-size: 9pt; color: #5b6270; border-bottom: 1.5px solid #16181d; padding: 0 0 1.5mm; }
tbody td { border-bottom: 1px solid #dfe2e8; padding: 2.5mm 0; vertical-align: top; }
td:first-child, th:first-child { padding-right: 6mm; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; padding-left: 4mm !important; }
small { display: block; color: #5b6270; font-size: 9pt; font-variant-numeric: tabular-nums; }
tfoot th { text-align: right; font-weight: 400; padding: 1.5mm 0; }
tfoot td { padding: 1.5mm 0; }
tfoot tr:first-child > * { padding-top: 4mm; }
tfoot .total > * { font-size: 13pt; font-weight: 700; border-top: 1.5px solid #16181d; }
footer { margin-top: 12mm; color: #5b6270; font-size: 9.5pt; }
footer p { margin: 0 0 1mm; }
tr, .facts, footer { break-inside: avoid; }
thead { display: table-header-group; }
tfoot { display: table-row-group; break-inside: avoid; }
.void tbody, .void tfoot { text-decoration: line-through; text-decoration-color: #b42318; }
@media print { body { margin: 0; padding: 0; max-width: none; } }
`;
