// What internal/load's tests ask of every server, in Node: answers of each framing.
const http = require('http');
const zlib = require('zlib');

const server = http.createServer(async (req, res) => {
  const pieces = [];
  for await (const piece of req) pieces.push(piece);
  const body = Buffer.concat(pieces);
  const answer = (status, text, headers = {}) => {
    res.writeHead(status, { 'content-length': Buffer.byteLength(text), ...headers });
    res.end(text);
  };
  switch (req.url) {
    case '/small': return answer(200, 'hello');
    case '/chunked':
      for (let i = 0; i < 10; i++) res.write('0123456789'.repeat(1000));
      return res.end();
    case '/gzip': return answer(200, zlib.gzipSync('a'.repeat(10000)), { 'content-encoding': 'gzip' });
    case '/empty': return res.writeHead(204).end();
    case '/moved': return answer(307, 'gone', { location: '/small' });
    case '/stream':
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let i = 0; i < 3; i++) res.write('data: {"type": "token", "data": {"content": "x"}}\n\n');
      return res.end('data: [DONE]\n\n');
    case '/echo': return answer(200, body);
    default: return answer(404, 'no');
  }
});
server.keepAliveTimeout = 1000;
server.listen(Number(process.argv[2]), '127.0.0.1');
