// Octroi: which requests go to the gate. Written by it, from `pac` in octroi.yaml.
// ES3 and no lookups, so that every engine runs it, at once and offline.

// The way out, tried in turn.
var OCTROI_GATE = {{gate}};
// The gate's own pages.
var OCTROI_OWN = {{own}};
// Names reached without it: `a` alone, `.a` with everything below, `*.a` only below.
var OCTROI_NAMES = {{names}};
// Addresses reached without it: family and the leading bits.
var OCTROI_NETWORKS = {{networks}};

function octroiPad(number, width) {
  var bits = number.toString(2);
  while (bits.length < width) bits = "0" + bits;
  return bits;
}

function octroiBits4(host) {
  var parts = host.split("."), bits = "4:", i;
  for (i = 0; i < 4; i++) bits += octroiPad(parseInt(parts[i], 10), 8);
  return bits;
}

function octroiBits6(host) {
  var halves = host.split("::"), bits = "6:", i;
  var head = halves[0] ? halves[0].split(":") : [];
  var tail = halves[1] ? halves[1].split(":") : [];
  while (halves.length > 1 && head.length + tail.length < 8) head.push("0");
  head = head.concat(tail);
  for (i = 0; i < head.length; i++) bits += octroiPad(parseInt(head[i], 16), 16);
  return bits;
}

// The bits of a literal address; nothing for a name.
function octroiBits(host) {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(host)) return octroiBits4(host);
  if (/^[0-9a-f:]+$/.test(host) && host.indexOf(":") >= 0) return octroiBits6(host);
  return "";
}

function octroiEnds(host, end) {
  var at = host.length - end.length;
  return at >= 0 && host.substring(at) === end;
}

function octroiCovers(pattern, host) {
  var first = pattern.charAt(0);
  if (first === "*") return octroiEnds(host, pattern.substring(1));
  if (first === ".") return host === pattern.substring(1) || octroiEnds(host, pattern);
  return host === pattern;
}

function octroiIsDirect(host) {
  var bits = octroiBits(host), i;
  if (bits) {
    for (i = 0; i < OCTROI_NETWORKS.length; i++) {
      if (bits.indexOf(OCTROI_NETWORKS[i]) === 0) return true;
    }
    return false;
  }
  if (host.indexOf(".") < 0) return true;
  for (i = 0; i < OCTROI_NAMES.length; i++) {
    if (octroiCovers(OCTROI_NAMES[i], host)) return true;
  }
  return false;
}

function FindProxyForURL(url, host) {
  var asked = url.toLowerCase(), i;
  for (i = 0; i < OCTROI_OWN.length; i++) {
    if (asked.indexOf(OCTROI_OWN[i]) === 0) return "DIRECT";
  }
  host = host.toLowerCase().replace(/^\[/, "").replace(/\]$/, "").replace(/\.$/, "");
  return octroiIsDirect(host) ? "DIRECT" : OCTROI_GATE;
}
