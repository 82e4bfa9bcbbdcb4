# The whole loop of make demo, with a real browser as the customer: the page opens a ticket,
# writes with its token, shows the agent's answer and the end; the console says nothing.
# FLEX_SCREENSHOTS names a folder for a picture.

use strict;
use warnings;

use Cwd qw(realpath);
use FindBin;
use lib "$FindBin::RealBin/../../perl";
use FlexApi;
use FlexBrowser;
use HTTP::Tiny;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $python = '/usr/bin/python3';
plan skip_all => 'there is no Chromium here' unless FlexBrowser::program();
plan skip_all => 'python3-psycopg2 is not here' if system("$python -c 'import psycopg2' 2>/dev/null");

my $demo = realpath("$FindBin::RealBin/../../demo");
my $simulator = FlexApi::Simulator->new('--setup-ms', 1);
my $node = PostgreSQL::Test::Cluster->new('demo');
my $credentials = realpath($node->basedir) . '/credentials';

append_to_file($credentials, "$FlexApi::ACCOUNT:support:$FlexApi::ACCOUNT:$FlexApi::TOKEN\n$FlexApi::ACCOUNT:support:$FlexApi::KEY:$FlexApi::SECRET\n");
chmod 0600, $credentials;
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'flex_api'\nflex_api.credentials_file = '$credentials'\nflex_api.base_url = '" . $simulator->url . "/{service}'\n");
$node->start;
$node->safe_psql('postgres', q{DO $$ BEGIN IF to_regrole('postgres') IS NULL THEN CREATE ROLE postgres SUPERUSER LOGIN; END IF; END $$});

# The files of the demo that say what there is; they run programs by names from the source's folder.
my $statements = join '', map { slurp_file("$demo/$_") } qw(01_settings.sql 02_ticket.sql 12_loop.sql);
my $printed = '';
{
	local $ENV{FLEX_SIMULATOR_URL} = $simulator->url;
	my $psql = $node->installed_command('psql');
	ok(IPC::Run::run([ $psql, '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . ' user=postgres' ], '<', \$statements, '>', \$printed, '2>&1',
			init => sub { chdir "$demo/../.." }), "the demo's statements") or BAIL_OUT($printed);
}

# Not a lexical: that would be closed, which waits for the server, before END can stop it.
our ($pid, $output);
END { kill 'TERM', $pid if $pid; }
{
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGUSER => 'web', PGDATABASE => 'postgres', FLEX_SIMULATOR_URL => $simulator->url);
	$pid = open($output, '-|', "exec $python '$demo/web/server.py' 2>'" . $node->basedir . "/web.log'") or die "python3: $!";
}
my ($url) = (<$output> // '') =~ /^(http:\S+)$/;
ok($url, 'the web server listens') or BAIL_OUT(FlexApi::content($node->basedir . '/web.log'));

sub sql { my ($sql) = @_; return $node->safe_psql('postgres', $sql, extra_params => [ '-U', 'support' ]); }
sub becomes { my ($sql, $name) = @_; return ok(FlexApi::wait_until(sub { sql($sql) eq 't' }), $name); }

$simulator->post('webhooks', { webhook_url => "$url/webhooks", webhook_events => ['onMessageAdded'] });
sql("SELECT flex_interaction_webhook_create(sid, '$url/webhooks', webhook_events => '{onParticipantJoined,onChannelStatusUpdated}') FROM flex_instance");

my $browser = FlexBrowser->new(width => 700, height => 500);
sub text { my ($selector) = @_; return $browser->evaluate("document.querySelector('$selector').innerText"); }
sub shows { my ($selector, $pattern, $name) = @_; return ok(FlexApi::wait_until(sub { text($selector) =~ $pattern }), $name) || diag(text($selector)); }
sub fill { my ($form, %values) = @_; return $browser->evaluate("(form => { " . join('', map { "form.elements.$_.value = '$values{$_}'; " } sort keys %values) . "form.requestSubmit(); })(document.getElementById('$form'))"); }

$browser->open($url);
fill('ticket', customer => 'Mary Shelley', subject => 'It moves');
shows('#state', qr/an agent will be with you/, 'the page has its chat');
fill('message', said => 'It opened <b>its eyes</b>.');
shows('#messages', qr/^It opened <b>its eyes<\/b>\.$/, 'what the customer says is shown, as text');
becomes(q{SELECT count(*) = 1 AND bool_and(t.waits_for = 'agent' AND m.author = 'ticket-' || t.id AND m.said LIKE 'It opened <b>%')
	FROM support_tickets AS t JOIN ticket_messages AS m ON m.ticket = t.id}, '... and comes back into the table, by a webhook');
my $ticket = sql('SELECT max(id) FROM support_tickets');
becomes("SELECT interaction IS NOT NULL FROM support_tickets WHERE id = $ticket", 'an agent is asked for');

# The service's doing, not the page's.
my $interaction = sql("SELECT interaction FROM support_tickets WHERE id = $ticket");
ok(FlexApi::wait_until(sub { eval { $simulator->post('step', { interaction_sid => $interaction, step => 'join' }) } }), 'an agent takes the task');
shows('#state', qr/an agent is here/, '... which the page tells');
sql("SELECT answer_ticket($ticket, 'Give it a name.')");
shows('#messages', qr/Give it a name\.$/, 'the answer is shown');
is($browser->evaluate('[...document.querySelectorAll("#messages li")].map(line => line.className).join(" ")'), 'mine theirs', '... as somebody else\'s');
becomes("SELECT waits_for = 'customer' FROM support_tickets WHERE id = $ticket", '... and the ticket waits for the customer');
$browser->screenshot("$ENV{FLEX_SCREENSHOTS}/customer.png") if $ENV{FLEX_SCREENSHOTS};
sql("SELECT close_ticket($ticket)");
becomes("SELECT NOT open FROM support_tickets WHERE id = $ticket", 'the ticket is closed by a webhook');
shows('#state', qr/^Ticket $ticket is closed/, '... which the page tells');
is_deeply([ $browser->console ], [], 'the console says nothing');

# Others.
my $http = HTTP::Tiny->new(timeout => 60);
is($http->post_form("$url/webhooks", { EventType => 'onMessageAdded', ConversationSid => sql("SELECT conversation FROM support_tickets WHERE id = $ticket"), Body => 'Psst' })->{status},
	403, 'a webhook that nobody has signed is refused');
is($http->get("$url/tickets/$_")->{status}, 404, "no ticket: $_") foreach $ticket, '00000000-0000-0000-0000-000000000000', '', "%00'";
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relowner = 'support'::regrole AND relkind = 'r' AND has_table_privilege('web', oid, 'SELECT, INSERT, UPDATE')}),
	0, 'the web server can reach none of the tables');

kill 'TERM', $pid;
close $output;
undef $pid;
$node->stop;
done_testing;
