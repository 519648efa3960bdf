"""The style sheet of reports: light and dark by what the reader's machine asks for, and always light on paper."""

STYLE = """
:root{--page:#f5f6f8;--card:#fff;--ink:#1c2430;--soft:#5a6675;--line:#dde2e9;--bar:#2468b4;--head:#eef1f5;--warn:#b3400f}
@media (prefers-color-scheme:dark){:root{--page:#12161c;--card:#1a2029;--ink:#e6eaf0;--soft:#9aa6b5;--line:#323c49;
--bar:#5b9fe8;--head:#222a35;--warn:#f0925c}}
*{box-sizing:border-box}
html{color-scheme:light dark}
body{margin:0;background:var(--page);color:var(--ink);font:14px/1.45 system-ui,-apple-system,"Segoe UI","Noto Sans",
"Noto Sans CJK SC","Microsoft YaHei","PingFang SC",sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1330px;margin:0 auto;padding:20px 18px 40px}
h1{font-size:24px;margin:0 0 2px}
h2{font-size:17px;margin:26px 0 8px}
p{margin:2px 0;color:var(--soft)}
.digest{font-size:12px;overflow-wrap:anywhere}
.warn{color:var(--warn);font-weight:600}
.cards{display:grid;grid-template-columns:repeat(6,1fr);gap:10px;margin:16px 0}
.card,.chart{background:var(--card);border:1px solid var(--line);border-radius:8px}
.card{padding:10px 12px}
.card b{display:block;font-size:22px;line-height:1.25;white-space:nowrap}
.card span{color:var(--soft);font-size:12.5px}
.charts{display:grid;grid-template-columns:repeat(3,1fr);gap:10px}
.chart{padding:10px 12px 4px;break-inside:avoid}
.chart h3{font-size:13.5px;margin:0 0 4px;font-weight:600}
svg{display:block;width:100%;height:auto}
svg text{font-size:11px;fill:var(--soft)}
svg .label,svg .value{fill:var(--ink)}
svg .bar{fill:var(--bar)}
svg .grid{stroke:var(--line);stroke-width:1}
.table{background:var(--card);border:1px solid var(--line);border-radius:8px;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:12.5px}
th{background:var(--head);text-align:left;font-weight:600;vertical-align:bottom}
th,td{padding:4px 8px;border-bottom:1px solid var(--line)}
tr:last-child td{border-bottom:0}
td{white-space:nowrap}
td.text{white-space:normal;min-width:120px;max-width:230px;overflow-wrap:break-word}
.dense{font-size:11.5px}
.dense th,.dense td{padding:3px 5px}
.dense td.text{min-width:84px}
th.n,td.n{text-align:right}
dl{display:grid;grid-template-columns:190px 1fr;gap:4px 14px;font-size:13px;margin:0}
dt{font-weight:600}
dd{margin:0;color:var(--soft)}
@media print{
:root{--page:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;--bar:#2468b4;--head:#eee;--warn:#8a2f08}
@page{size:A4 landscape;margin:11mm}
html{color-scheme:light}
body{font-size:11px}
main{max-width:none;padding:0}
table,.dense{font-size:8.5px}
th,td,.dense th,.dense td{padding:2px 3px}
td.text,.dense td.text{min-width:50px}
thead{display:table-header-group}
tr{break-inside:avoid}
h2{break-after:avoid}
.table{overflow:visible;border-radius:0}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""
