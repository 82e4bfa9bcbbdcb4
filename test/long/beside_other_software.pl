# Other software in the same server: pg_stat_statements, auto_explain, pgaudit, and
# partitions that come and go below a trigger, as pg_partman makes them.  All are there
# at once, as they are where people run them, each in the mode that shows the most.
# Requests are sent once, callbacks run, and no secret is in what the others write down.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl", "$FindBin::RealBin/../crash";
use FlexApi;
use Outbox;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $REQUESTS = 200;
my $PARTITIONS = 5;

my ($folder) = PostgreSQL::Test::Utils::run_command([ 'pg_config', '--pkglibdir' ]);
my %is_here = map { $_ => -r "$folder/$_.so" } qw(pg_stat_statements auto_explain pgaudit);
my @others = sort grep { $is_here{$_} } keys %is_here;
plan skip_all => 'none of the others is here' unless @others;

# They come before us, and behind us: each calls the hooks that were there before it.
foreach my $order (join(',', @others, 'flex_api'), join(',', 'flex_api', @others))
{
	my $simulator = FlexApi::Simulator->new;
	my $node = FlexApi::node('beside' . ($order =~ /^flex/ ? '_behind' : ''), $simulator,
		"shared_preload_libraries = '$order'", "flex_api.rate_limits = 'none'", 'max_worker_processes = 20',
		'pg_stat_statements.track = all', 'auto_explain.log_min_duration = 0', 'auto_explain.log_nested_statements = on',
		'auto_explain.log_analyze = on', 'auto_explain.log_verbose = on', "pgaudit.log = 'all'", 'pgaudit.log_parameter = on',
		'pgaudit.log_relation = on', 'compute_query_id = on');
	my $session = FlexApi::Session->new($node);

	note("shared_preload_libraries = '$order'");
	$session->value("CREATE EXTENSION $_") foreach grep { $_ ne 'auto_explain' } @others;
	$session->value(q{
		CREATE ROLE app LOGIN;
		GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO app;
		GRANT CREATE ON SCHEMA public TO app;
		SET ROLE app;
		CREATE TABLE done (id bigint PRIMARY KEY, ticket text, sid text);
		CREATE FUNCTION note_done(r flex_outbox) RETURNS void LANGUAGE sql AS
			$$ INSERT INTO done VALUES (r.id, r.context ->> 'ticket', r.sid) $$;
		CREATE TABLE tickets (id bigint, day int) PARTITION BY LIST (day);
		CREATE FUNCTION open_chat() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM flex_enqueue('flex_webchat_create',
				jsonb_build_object('address_sid', 'IG' || repeat('a', 32), 'identity', 'ticket ' || NEW.id),
				context => jsonb_build_object('ticket', NEW.id), on_success => 'note_done');
			RETURN NULL;
		END $$;
		CREATE TRIGGER open_chat AFTER INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION open_chat()});

	# Partitions come, and go while requests from their rows are still waiting.
	foreach my $day (1 .. $PARTITIONS)
	{
		$session->value("CREATE TABLE tickets_$day PARTITION OF tickets FOR VALUES IN ($day)");
		my $from = ($day - 1) * $REQUESTS / $PARTITIONS + 1;
		my $to = $day * $REQUESTS / $PARTITIONS;
		$session->value("INSERT INTO tickets SELECT id, $day FROM generate_series($from, $to) AS id");
		$session->value("ALTER TABLE tickets DETACH PARTITION tickets_$_; DROP TABLE tickets_$_") foreach grep { $_ > 0 } $day - 1;
	}
	ok(FlexApi::wait_until(sub { $session->value('SELECT count(*) FROM done WHERE sid IS NOT NULL') == $REQUESTS }),
		'each ticket has its conversation, also those of partitions that are gone');
	is($session->value("SELECT count(*) FROM flex_outbox WHERE state = 'succeeded'"), $REQUESTS, 'all requests have succeeded');
	my %sent;
	$sent{$_}++ foreach map { ($_->{body} // '') =~ /Identity=([^&]+)/ ? $1 : () } $simulator->requests;
	is(scalar(grep { $_ == 1 } values %sent), $REQUESTS, 'each was sent once');

	# Calls and a drain, with a secret that a session has set by a parameter
	$session->value('RESET ROLE');
	# A plan's output list, where auto_explain.log_verbose shows it, has parameters as constants.
	$session->value("SET log_statement = 'none'; SET auto_explain.log_min_duration = -1");
	$session->query_with('SELECT set_config($1, $2, false)', 'flex_api.auth_token', "session-$FlexApi::SECRET");
	is($session->sqlstate('SELECT flex_channel_fetch(\'CH' . '0' x 32 . "')"), 'TW401', 'a wrong token of the session is refused');
	$session->value('RESET flex_api.auth_token; RESET auto_explain.log_min_duration');
	is($session->sqlstate('SELECT flex_channel_fetch(\'CH' . '0' x 32 . "')"), 'TW404', 'a call');
	is($session->sqlstate('SELECT count(*) FROM flex_channels_list()'), '00000', 'a list');
	is($session->sqlstate("EXPLAIN (ANALYZE, VERBOSE) SELECT count(*) FROM flex_channels_list()"), '00000', 'a plan');
	is($session->sqlstate('CALL flex_outbox_drain()'), '00000', 'a drain');

	# What the others know
	if ($is_here{pg_stat_statements})
	{
		cmp_ok($session->value("SELECT count(*) FROM pg_stat_statements WHERE query ~ 'flex_'"), '>', 0, 'statements are counted');
		# The pattern must not be what it looks for.
		is($session->value("SELECT count(*) FROM pg_stat_statements WHERE query ~ 'test-(token|secret)'"), 0,
			'no statement has a secret');
	}
	$node->stop;
	# pgaudit.log_parameter writes each parameter down, that of set_config, too: this is its purpose.
	my @log = grep { index($_, 'AUDIT: ') < 0 || index($_, 'set_config') < 0 } split(/\n/, FlexApi::content($node->logfile));
	ok((grep { index($_, 'Query Text: ') >= 0 } @log), 'plans are in the log') if $is_here{auto_explain};
	ok((grep { index($_, 'AUDIT: SESSION') >= 0 } @log), 'the audit is in the log') if $is_here{pgaudit};
	my %must_not_be = (
		'the token of the configuration' => qr/\Q$FlexApi::TOKEN\E/,
		'the secret of a session' => qr/\Qsession-$FlexApi::SECRET\E/,
		'an Authorization header' => qr/Basic [A-Za-z0-9+\/=]{8}/,
		'the bad end of a process' => qr/PANIC|terminated by signal|TRAP/);
	foreach my $what (sort keys %must_not_be)
	{
		is(join("\n", grep { /$must_not_be{$what}/ } @log), '', "in the log there is not $what");
	}
}
done_testing();
