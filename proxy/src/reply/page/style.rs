//! How the pages look: one sheet, sent within the page and named by its digest.

/// Nothing but the page's own style sheet; a test keeps the digest and the sheet together.
pub(in crate::reply) const SECURITY_POLICY: &str = concat!(
    "default-src 'none'; style-src 'sha256-Bkt8ntcDNa3gJRE91iwjzUfPfqcpnFUXOPDV+1GP+gQ='; ",
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Lengths are in `rem`, so that a reader's own text size moves all of them; colours have a contrast of
/// at least 4.5 to 1 on their ground, in either scheme.
pub(in crate::reply) const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1b23;--soft:#555562;--paper:#fff;--panel:#f4f4f9;--line:#d5d5e0;--state:#1c2c7c;--stop:#a3310d}\
@media(prefers-color-scheme:dark){:root{--ink:#ececf2;--soft:#b3b3c2;--paper:#15151b;--panel:#20202a;--line:#3b3b4a;--state:#a9b8ff;--stop:#ff9d75}}\
*{box-sizing:border-box}html{-webkit-text-size-adjust:100%;text-size-adjust:100%}\
body{margin:0;font:1.0625rem/1.6 system-ui,\"Segoe UI\",Roboto,\"Liberation Sans\",sans-serif;color:var(--ink);background:var(--paper);overflow-wrap:anywhere;border-top:.3rem solid var(--state)}\
header,main,footer{width:min(43.5rem,100% - 2.5rem);margin:0 auto}\
header{display:flex;flex-wrap:wrap;justify-content:space-between;gap:.2rem 1.5rem;padding-top:1.1rem;padding-bottom:1.1rem;border-bottom:1px solid var(--line)}\
header p{margin:0;color:var(--soft)}header strong{display:block;color:var(--ink)}\
h1{font-size:1.75rem;line-height:1.25;margin:2.2rem 0 1rem;padding-left:.9rem;border-left:.35rem solid var(--stop);text-wrap:balance}\
h1.calm{border-color:var(--state)}\
h2{font-size:1.2rem;line-height:1.35;margin:2rem 0 .5rem}h3{font-size:1.0625rem;margin:1.3rem 0 .3rem}\
p,ul,dl{margin:.5rem 0}ul{padding-left:1.25rem}li{margin:.35rem 0}\
.why{font-size:1.1875rem}.panel{margin:1.8rem 0;padding:1rem 1.25rem;background:var(--panel);border:1px solid var(--line);border-radius:.25rem}\
.panel p:first-child{margin-top:0}.panel p:last-child{margin-bottom:0}\
code{font:1em ui-monospace,\"DejaVu Sans Mono\",\"Liberation Mono\",monospace}\
.number{display:inline-block;font-weight:700;font-size:1.125em;letter-spacing:.04em;-webkit-user-select:all;user-select:all}\
dl{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.3rem 1.25rem}dt{color:var(--soft)}dd{margin:0}\
a{color:var(--state);text-underline-offset:.15em}a:hover{text-decoration-thickness:.15em}\
a:focus-visible{outline:.19rem solid var(--state);outline-offset:.19rem;border-radius:.1rem}\
article{margin-top:2.2rem;padding-top:.4rem;border-top:1px solid var(--line)}article h2{margin-top:1.2rem}article>p:last-child{margin-top:1.3rem}\
footer{margin:2.5rem auto 0;padding-top:1rem;padding-bottom:2rem;color:var(--soft);font-size:.9375rem;border-top:1px solid var(--line)}\
@media(max-width:32rem){h1{font-size:1.5rem;margin-top:1.6rem}dl{display:block}dd{margin:0 0 .6rem}}\
@media print{:root{color-scheme:light;--ink:#000;--soft:#333;--paper:#fff;--panel:#fff;--line:#888;--state:#000;--stop:#000}\
body{font-size:10.5pt;border:0}header,main,footer{width:auto}nav{display:none}\
h2,h3{break-after:avoid}section,dl,li{break-inside:avoid}\
main a[href^=http]::after{content:\" (\" attr(href) \")\"}}";
