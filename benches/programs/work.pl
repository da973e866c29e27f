# Text and tables, as scripts in Perl treat them.
use strict;

my (%count, $sum);
open(my $text, '<', 'text') or die;
while (<$text>) {
    $count{lc $1}++ while /([a-z]+)/gi;
    $sum += length if /in.*(on|er) /;
}
my @words = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print scalar(@words), " $words[0] $sum\n";
