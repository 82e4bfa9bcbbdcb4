"""The demo's web server: a page for the customer, and the address that webhooks go to.

It knows no secret and no table: its role may call three functions, and the database
decides who is who.  Prints where it listens.  In front of a real one stands what speaks
TLS and limits how often somebody may open a ticket.
"""
import json
import os
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs
import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = {'/': ('customer.html', 'text/html'), '/customer.js': ('customer.js', 'text/javascript')}
# Where a page writes its messages, in the place of Twilio's SDK.
SERVICE = os.environ['FLEX_SIMULATOR_URL'] + '/conversations/v1'


def ask(sql, *values):
    """The single value that a statement returns, in a transaction of its own."""
    with closing(psycopg2.connect('')) as database, database, database.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()[0]


class Handler(BaseHTTPRequestHandler):
    def answer(self, status, content=b'', media_type='application/json'):
        self.send_response(status)
        self.send_header('Content-Type', media_type + '; charset=utf-8')
        self.send_header('Content-Length', str(len(content)))
        self.send_header('Cache-Control', 'no-store')
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        if self.path in FILES:
            name, media_type = FILES[self.path]
            with open(os.path.join(HERE, name), 'rb') as file:
                return self.answer(200, file.read(), media_type)
        ticket = None
        if self.path.startswith('/tickets/'):
            ticket = ask('SELECT ticket_of(%s)', self.path[len('/tickets/'):])
        if ticket is None:
            return self.answer(404)
        return self.answer(200, json.dumps({**ticket, 'service': SERVICE}).encode())

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get('Content-Length', 0))).decode()
        form = {name: values[0] if len(values) == 1 else values
                for name, values in parse_qs(text, keep_blank_values=True).items()}
        if self.path == '/tickets':
            key = ask('SELECT open_ticket(%s, %s)', form.get('customer'), form.get('subject'))
            return self.answer(201, json.dumps({'key': key}).encode())
        if self.path == '/webhooks':
            url = f'http://{self.headers["Host"]}{self.path}'
            authentic = ask('SELECT receive_webhook(%s, %s, %s)', url, json.dumps(form),
                            self.headers['X-Twilio-Signature'])
            return self.answer(204 if authentic else 403)
        return self.answer(404)

    def log_message(self, *words):
        pass


server = ThreadingHTTPServer(('127.0.0.1', int(os.environ.get('PORT', 0))), Handler)
print(f'http://127.0.0.1:{server.server_port}', flush=True)
server.serve_forever()
