# FlexPage: a page works: each block of SQL is run, in order, as somebody would paste it.
# Between them the page has notes, in comments that readers do not see, of what has to be
# there and what has to come out:
#
#   <!-- run: SQL -->              state that a reader would have already
#   <!-- expect: SQL -->           has to return true
#   <!-- seed: JSON -->            rows in the simulator
#   <!-- fault: JSON -->           what goes wrong once
#   <!-- simulator: PATH JSON -->  any other control request
#   <!-- wait: SQL -->             returns true before long
#   <!-- cron: ... -->             from here to the end of the jobs pg_cron is needed
#
#   FlexPage::follow($page, $node, $simulator, $has_cron);
package FlexPage;

use strict;
use warnings;

use JSON::PP;
use Test::More;

# Run what stands on a page, whose text is given, and check its list of sections.
sub follow
{
	my ($page, $node, $simulator, $has_cron) = @_;
	my ($heading, $blocks, $expectations, $skipping) = ('', 0, 0, 0);

	# psql, as a reader has it; each statement is a transaction.
	my $run_sql = sub {
		my ($sql, $name) = @_;
		my ($output, $errors);
		my $status = $node->psql('postgres', $sql, stdout => \$output, stderr => \$errors, on_error_stop => 1);

		ok($status == 0 && $errors eq '', $name) or diag $errors;
		return $output;
	};
	my $json = sub { return JSON::PP->new->decode($_[0]); };
	my %notes = (
		run => sub { $run_sql->($_[0], "$heading: run: " . substr $_[0], 0, 60); },
		expect => sub { $expectations++; is($run_sql->($_[0], "$heading: an expectation can be asked for"), 't', "$heading: expect: $_[0]"); },
		wait => sub { $expectations++; ok($node->poll_query_until('postgres', $_[0]), "$heading: wait: $_[0]"); },
		cron => sub { $has_cron ? $node->safe_psql('postgres', 'CREATE EXTENSION pg_cron') : ($skipping = 1); },
		end => sub { $skipping = 0; },
		seed => sub { $simulator->post('seed', $json->($_[0])); },
		fault => sub { $simulator->post('faults', $json->($_[0])); },
		simulator => sub { my ($path, $wish) = split / /, $_[0], 2; $simulator->post($path, $json->($wish)); });

	while ($page =~ /^(?:## (?<heading>[^\n]+)|```sql\n(?<sql>.*?)^```|<!-- (?<note>\w+): (?<value>[^\n]*?) -->)$/msg)
	{
		my %found = %+;

		next if $skipping && ($found{note} // '') ne 'end';
		if (defined $found{heading}) { $heading = $found{heading}; }
		elsif (defined $found{sql})
		{
			$blocks++;
			$run_sql->($found{sql}, "$heading: block $blocks");
			unlike($found{sql}, qr/SELECT\s*\(\s*flex_/i, "$heading: block $blocks: no call is expanded");
		}
		else { ($notes{ $found{note} } // sub { fail "no such note: $found{note}" })->($found{value}); }
	}
	cmp_ok($blocks, '>=', 10, 'there are blocks');
	cmp_ok($expectations, '>=', 10, 'and expectations');
	my @left = grep { $_->{times} != 0 } @{ $simulator->get('faults')->{faults} };
	is_deeply(\@left, [], 'each fault met its request');

	# The list at the head leads to all of its sections.
	my %anchors = map { s/[^a-z0-9 _-]//gr =~ tr/ /-/r => 1 } map { lc } $page =~ /^## (.+)$/mg;
	is_deeply([ sort $page =~ /^- .*\]\(#([^)]+)\)$/mg ], [ sort keys %anchors ], 'the list of sections');
	return;
}

1;
