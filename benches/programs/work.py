# What scripts do: numbers, strings, lists, dictionaries, objects.


class Account:
    def __init__(self):
        self.balance = 0

    def add(self, amount):
        self.balance += amount
        return self


def primes(limit):
    found = []
    for n in range(2, limit):
        if all(n % p for p in found if p * p <= n):
            found.append(n)
    return found


def words(path):
    counts = {}
    with open(path) as text:
        for line in text.readlines()[:4000]:
            for word in line.split():
                counts[word] = counts.get(word, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


account = Account()
for amount in range(80000):
    account.add(amount % 7).add(-1)
print(account.balance, sum(primes(3000)), words("text")[0], 3**2000 % 1000007)
