// A service with one event loop that knows what its functions cost. /node/later works after it has let the
// loop go on, so that nobody outside can know whose work it is.
const http = require('http');

const spent = { burnLarge: 0, burnSmall: 0, burnLater: 0 };
let sink = 0;

function now() {
  const { user, system } = process.cpuUsage();
  return 1000 * (user + system);
}

function squares(ns) {
  for (const end = now() + ns; now() < end;) for (let i = 0; i < 20000; i++) sink = (sink + i * i) % 7;
}

function cubes(ns) {
  for (const end = now() + ns; now() < end;) for (let i = 0; i < 20000; i++) sink = (sink + i * i * i) % 5;
}

function burnLarge() { squares(6e6); }
function burnSmall() { cubes(2e6); }
function burnLater() { cubes(2e6); }

function timed(burn) {
  const begin = now();
  burn();
  spent[burn.name] += now() - begin;
}

const server = http.createServer((request, response) => {
  switch (request.url) {
    case '/node/large':
      timed(burnLarge);
      break;
    case '/node/small':
      timed(burnSmall);
      break;
    case '/node/later':
      setTimeout(() => { timed(burnLater); response.end('fine\n'); }, 5);
      return;
    case '/truth':
      response.end(JSON.stringify(spent));
      return;
  }
  response.end('fine\n');
});
server.listen(+process.argv[3], process.argv[2], () => console.log('ready'));
process.stdin.on('end', () => process.exit(0)).resume();
