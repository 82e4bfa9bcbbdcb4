# Outbox: short words for the tests of operations: enqueue a request with a name of its
# own, wait for its state, and count how often the service has got it.
package Outbox;

use strict;
use warnings;

use Exporter qw(import);
use FlexApi;

our @EXPORT = qw(chat enqueue state_of reaches sent workers has_worker);

my $ADDRESS = 'IG' . 'a' x 32;

# A statement that enqueues a web chat under a name; further arguments may follow.
sub chat
{
	my ($name, $more) = @_;

	return sprintf(q{flex_enqueue('flex_webchat_create', '{"address_sid":"%s","identity":"%s"}'%s)},
		$ADDRESS, $name, defined $more ? ", $more" : '');
}

# Enqueue a web chat, in a transaction of its own; returns its id.
sub enqueue { my ($session, $name, $more) = @_; return $session->value('SELECT ' . chat($name, $more)); }

# The state of a request; '' when it is not there.
sub state_of { my ($session, $id) = @_; return $session->value("SELECT state FROM flex_outbox WHERE id = $id") // ''; }

# Wait until a request has a state; false when it does not come to that.
sub reaches
{
	my ($session, $id, $state, $seconds) = @_;

	return FlexApi::wait_until(sub { state_of($session, $id) eq $state }, $seconds);
}

# How often the service has got the request for the web chat of a name.
sub sent
{
	my ($simulator, $name) = @_;

	return scalar grep { ($_->{body} // '') =~ /Identity=\Q$name\E(&|$)/ } $simulator->requests;
}

# Processes of the outbox's workers: of all databases, or of one.
sub workers
{
	my ($session, $database) = @_;
	my $where = defined $database ? "AND datname = '$database'" : '';

	return map { $_->[0] } @{ $session->query(
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'flex_api outbox worker' $where")->{rows} };
}

# Wait until a database has a worker.
sub has_worker
{
	my ($session, $database) = @_;

	return FlexApi::wait_until(sub { workers($session, $database) == 1 });
}

1;
