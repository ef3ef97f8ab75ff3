# pyright: basic
"""Write the bundled example: support tickets of a shop that does not exist.

Every ticket is made up. A ticket is one of about 160 situations in one of several wordings
(`[a|b]` is a choice), with what people put around it: a greeting, a detail, another matter that is
already settled, a closing line, hurried typing. Some situations belong to two queues by their
nature; for these the queue is drawn, as two clerks would disagree. So no candidate gets all right.

    python benchmarks/example/make_ticket_routing.py src/freehold/data/example/ticket-routing
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from pathlib import Path

TICKETS = 1_200
SPARE = 20
SEED = 20_261_122
SHARE_AMBIGUOUS = 0.12
SHARE_ASIDE = 0.08
SHARE_REWORDED = 0.85

PRODUCTS = {
    "kettle": ("Tidewater kettle", "kettle", "the steel kettle"),
    "lamp": ("Solis desk lamp", "desk lamp", "lamp"),
    "speaker": ("Murmur speaker", "bluetooth speaker", "speaker"),
    "reader": ("Folio e-reader", "e-reader", "Folio"),
    "backpack": ("Atlas backpack", "backpack", "Atlas bag"),
    "app": ("Lantern app", "app", "your app"),
    "membership": ("Lantern Plus", "Plus membership", "membership"),
    "gift_card": ("gift card", "voucher", "e-gift card"),
}
THINGS = ("kettle", "lamp", "speaker", "reader", "backpack")
CHANNELS = ("mail", "form", "chat", "phone_note")

# (products, wordings). `{p}` is the product, `{o}` an order, `{a}` an amount, `{n}` days, `{d}` a day.
SITUATIONS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "billing": (
        (
            "thing",
            (
                "[I was|we were|my card was] charged [twice|two times|double] for the {p}",
                "two payments of {a} left my account for one order",
                "there are 2 identical lines from you on my statement, both {a}",
            ),
        ),
        (
            "membership",
            (
                "why did the {p} go up from 6 to {a} without [a word|any notice|telling me]",
                "my {p} renewed at a higher price than [agreed|what I signed up for]",
                "the monthly amount for {p} is wrong since {d}",
            ),
        ),
        (
            "thing",
            (
                "I need [an invoice|a proper invoice|a receipt] with our company name on it for {o}",
                "the invoice for {o} has the wrong [address|VAT number|company]",
                "accounting rejects your receipt, the tax line is missing",
            ),
        ),
        (
            "any",
            (
                "my card keeps being declined although [the bank says it is fine|it works everywhere else]",
                "payment fails at the last step with my [new card|debit card|corporate card]",
                "checkout says card refused but the money is [reserved|blocked] at my bank",
            ),
        ),
        (
            "any",
            (
                "can I [change|update] the card you have on file",
                "how do I remove my old [visa|credit card] from the account",
                "my card expires on {d}, where do I enter the new one",
            ),
        ),
        (
            "gift_card",
            (
                "the {p} balance shows {a} less than it should",
                "I redeemed the {p} but the full price was [taken|charged] anyway",
                "the code on my {p} has been [used already|emptied], by whom?",
            ),
        ),
        (
            "any",
            (
                "you [charged|took] {a} on {d} and I have no idea what it is for",
                "what is the {a} from LANTERN*SHOP on my [statement|account]",
                "I do not recognise a [payment|debit] of {a} to you",
            ),
        ),
        (
            "thing",
            (
                "the discount code was accepted but the total did not change, I paid the full {a}",
                "student discount is missing on the bill for {o}",
                "you promised 15 % off and my bill says nothing of it",
            ),
        ),
        (
            "membership",
            (
                "can I pay [yearly|once a year] instead of every month for {p}",
                "please switch our {p} to [payment by invoice|bank transfer|direct debit]",
                "is it possible to pay for the {p} in two [instalments|parts]",
            ),
        ),
        (
            "any",
            (
                "I was charged in dollars, my bank adds {a} of fees for that",
                "currency on the bill is wrong, we are in the euro zone",
                "why is VAT added twice on {o}",
            ),
        ),
        (
            "membership",
            (
                "I cancelled {p} in [March|spring|May] and you still take {a} every month",
                "the {p} trial was free, yet {a} left my account on {d}",
                "stop the monthly debit, the {p} ended [weeks ago|last month]",
            ),
        ),
        (
            "thing",
            (
                "I got a reminder with a late fee but {o} is paid since {d}",
                "your dunning letter is wrong, the transfer went out on {d}",
                "final notice?? I have the bank confirmation for {o} right here",
            ),
        ),
        (
            "any",
            (
                "the total at checkout was {a} but the confirmation says more",
                "service fee of {a} on {o}: what is that",
                "I see a handling charge nobody mentioned",
            ),
        ),
        (
            "any",
            (
                "please split the bill for {o} over two [cards|cost centres]",
                "we need one monthly statement rather than a bill per order",
                "could the invoices go to our [bookkeeper|accounts department] directly",
            ),
        ),
        (
            "any",
            (
                "direct debit bounced because you tried on {d} and not on the first",
                "you tried to collect {a} [too early|before payday] and I paid a bank fee",
                "when exactly do you take the money each month",
            ),
        ),
        (
            "gift_card",
            (
                "can I use two {p}s for one payment",
                "how do I add a {p} when part is paid with a card",
                "the {p} field does not appear at payment",
            ),
        ),
    ),
    "refunds": (
        (
            "thing",
            (
                "I want to [send back|return] the {p}, it is not what I expected",
                "how do I return a {p} I bought on {d}",
                "please send me a return label for {o}",
            ),
        ),
        (
            "any",
            (
                "I sent it back {n} days ago and still have not [seen|got] my money",
                "where is my refund for {o}",
                "return was received on {d} according to tracking, the {a} is not back yet",
            ),
        ),
        (
            "thing",
            (
                "the {p} is the wrong colour, I would like my money back",
                "my daughter does not like the {p}, can we give it back",
                "too small for me, so the {p} goes back. What do I do?",
            ),
        ),
        (
            "membership",
            (
                "I did not mean to buy {p}, please undo that and give me back {a}",
                "please reimburse the {p}, I never used it",
                "bought {p} by accident, can it be reversed",
            ),
        ),
        (
            "thing",
            (
                "you only paid back {a} of what I spent on {o}",
                "refund is short, the postage is missing from it",
                "I got back less than the {p} cost me, why",
            ),
        ),
        (
            "any",
            (
                "can I have the refund on another card, the old one is closed",
                "the account you refunded to does not exist any more",
                "please pay the money back by transfer and not as a voucher",
            ),
        ),
        (
            "thing",
            (
                "is it too late to return a {p} after {n} days",
                "what is your return period for opened items",
                "can I bring back a {p} I was given as a present, without a receipt",
            ),
        ),
        (
            "thing",
            (
                "I want to cancel {o} and have the {a} back",
                "cancel my order of {d} please, money back to the same card",
                "I changed my mind about the {p}, please take it back",
            ),
        ),
        (
            "thing",
            (
                "the {p} was on sale two days after I bought it, will you pay me the difference",
                "price dropped by {a} since {d}, do I get that back",
                "same {p} is cheaper now, can I have the difference",
            ),
        ),
        (
            "gift_card",
            (
                "can an unused {p} be paid out",
                "I would like to give back a {p} I never spent",
                "nobody wants the {p}, please swap it for cash",
            ),
        ),
        (
            "thing",
            (
                "the {p} came back to you because nobody was home, so please return the {a}",
                "parcel was returned to sender, I don't want it again, just the money",
                "I refused the delivery of {o}, when is it credited",
            ),
        ),
        (
            "thing",
            (
                "I returned two items and only one was credited",
                "the return of {o} is marked as incomplete, I sent everything",
                "you say the box was empty. It was not!",
            ),
        ),
        (
            "thing",
            (
                "do I have to pay the return postage for the {p}",
                "who pays for sending back {o}",
                "return shipping of {a} for a {p}, really?",
            ),
        ),
        (
            "any",
            (
                "you promised compensation of {a} in the chat on {d}",
                "your colleague said I get a credit for the trouble, nothing came",
                "I was told the amount would be made good within {n} days",
            ),
        ),
        (
            "thing",
            (
                "the return portal says {o} is not eligible",
                "I cannot create a return, it says the item is final sale",
                "return code is not accepted at the parcel shop",
            ),
        ),
        (
            "thing",
            (
                "I would rather have another {p} than the money, is an exchange possible",
                "swap the {p} for the bigger one please",
                "exchange instead of repayment for {o}?",
            ),
        ),
    ),
    "tech": (
        (
            "app",
            (
                "{p} [crashes|closes itself|freezes] when I open [settings|my orders|the basket]",
                "since the update the {p} shows a white screen",
                "{p} does not start on my [tablet|old phone|Pixel]",
            ),
        ),
        (
            "any",
            (
                "I cannot log in, it says wrong password although I [just reset it|copied it]",
                "the reset mail never [arrives|comes], not in spam either",
                "two-factor code is always rejected, I am locked out",
            ),
        ),
        (
            "speaker",
            (
                "the {p} will not pair with my [laptop|TV|phone]",
                "{p} loses the connection every few minutes",
                "sound of the {p} crackles on the left side only",
            ),
        ),
        (
            "reader",
            (
                "{p} is stuck on the [start|loading] screen",
                "books disappear from the {p} after it syncs",
                "the {p} does not charge over {n} percent",
            ),
        ),
        (
            "lamp",
            (
                "the {p} flickers on the [lowest|second] setting",
                "touch button of the {p} does not react",
                "my {p} turns itself on in the night",
            ),
        ),
        (
            "kettle",
            (
                "the {p} switches off before it boils",
                "there is a burning smell from the base of the {p}",
                "{p} shows error E{n} and beeps",
            ),
        ),
        (
            "thing",
            (
                "how do I reset the {p} to factory settings",
                "which button do I hold to restart the {p}",
                "where can I find the manual for the {p}, the link in the box is dead",
            ),
        ),
        (
            "thing",
            (
                "firmware update for the {p} stops at {n} percent",
                "the {p} is not found by the app any more after updating",
                "wifi setup of the {p} fails at the password step",
            ),
        ),
        (
            "backpack",
            (
                "the zip of the {p} is stuck and the usb port in it is dead",
                "the charging cable inside the {p} has no contact",
                "strap buckle of my {p} broke, can it be repaired",
            ),
        ),
        (
            "any",
            (
                "your website shows error 50{n} when I open my account",
                "the search on the site gives nothing for any word",
                "page keeps [reloading|jumping to the start] in Firefox",
            ),
        ),
        (
            "app",
            (
                "I get no notifications from the {p}",
                "the {p} shows the orders of somebody else",
                "how can I change the language of the {p}",
            ),
        ),
        (
            "any",
            (
                "my email address in the profile can't be changed, the button is grey",
                "saving a new address gives 'unknown error'",
                "I have two accounts and want to merge them",
            ),
        ),
        (
            "thing",
            (
                "the {p} worked for {n} days and is now completely dead",
                "no light, no sound, the {p} does nothing",
                "{p} gets hot and turns off, is that normal",
            ),
        ),
        (
            "reader",
            (
                "can't download what I bought, it says licence missing",
                "the {p} does not accept my library files",
                "screen of the {p} has lines since {d}",
            ),
        ),
        (
            "app",
            (
                "dark mode in the {p} makes the text unreadable",
                "the {p} uses all my battery",
                "scanning the code with the {p} does nothing",
            ),
        ),
        (
            "any",
            (
                "I deleted my account by mistake, can you restore it",
                "the confirmation link says it has expired",
                "chat window covers the whole screen and cannot be closed",
            ),
        ),
    ),
    "sales": (
        (
            "thing",
            (
                "does the {p} come in [green|black|blue|another colour]",
                "which is better for a small [flat|room|office], the {p} or the bigger one",
                "is the {p} also sold with a European plug",
            ),
        ),
        (
            "thing",
            (
                "when will the {p} be back in stock",
                "{p} is sold out, can I be told when it is there again",
                "will there be a new {p} this [year|autumn]",
            ),
        ),
        (
            "thing",
            (
                "do you give a discount if we take {n} of the {p}",
                "we would like {n} pieces of the {p} for our [staff|school|hotel], what is your price",
                "quote for {n}0 {p}s please, delivery to one address",
            ),
        ),
        (
            "membership",
            (
                "what do I get with {p} that I don't have now",
                "is {p} worth it if I order [twice|five times] a year",
                "does the {p} cover my whole family",
            ),
        ),
        (
            "gift_card",
            (
                "can I buy a {p} for an odd amount like {a}",
                "is the {p} valid in your shops as well",
                "I would like {n} {p}s with our company logo",
            ),
        ),
        (
            "thing",
            (
                "is the {p} suitable for [children|hard water|travelling]",
                "how heavy is the {p}, I can't find it on the page",
                "what is the capacity of the {p}",
            ),
        ),
        (
            "any",
            (
                "do you have a shop in [Leeds|Ghent|Porto] where I can look at things",
                "can I try before buying anywhere",
                "are you open on [Sundays|public holidays]",
            ),
        ),
        (
            "thing",
            (
                "is there a student price for the {p}",
                "will the {p} be in the winter sale",
                "I saw the {p} for {a} elsewhere, can you match that",
            ),
        ),
        (
            "any",
            (
                "we are a [cafe|museum shop] and want to stock your goods, who do I talk to",
                "do you have a reseller programme",
                "looking for a wholesale catalogue",
            ),
        ),
        (
            "thing",
            (
                "does the {p} work with the parts of the older model",
                "will my old charger fit the {p}",
                "can I buy the lid of the {p} separately",
            ),
        ),
        (
            "thing",
            (
                "how long is the warranty on a new {p}",
                "before I order: is the {p} made in Europe",
                "what is the difference between the two versions of the {p}",
            ),
        ),
        (
            "membership",
            (
                "I would like to upgrade to {p}, what will it cost me from {d}",
                "can I switch from basic to {p} in the middle of the month",
                "is there a {p} for teams of {n}",
            ),
        ),
        (
            "any",
            (
                "could somebody call me about a larger [order|project]",
                "I'd like advice on equipping {n} rooms",
                "who is the contact for business customers",
            ),
        ),
        (
            "reader",
            (
                "can the {p} read [epub|library books|comics]",
                "is the {p} waterproof",
                "how many books fit on a {p}",
            ),
        ),
        (
            "any",
            (
                "I want to order by phone, is that possible",
                "do you also gift wrap, and what is it",
                "can I reserve one until {d}",
            ),
        ),
        (
            "backpack",
            (
                "does a 16 inch laptop fit into the {p}",
                "is the {p} allowed as hand luggage",
                "do you embroider names on the {p}",
            ),
        ),
    ),
    "abuse": (
        (
            "any",
            (
                "somebody [ordered|bought things] in my name, I never had an account with you",
                "there is an order for {a} on my account that is not mine",
                "a stranger used my login, the address was changed to one in [Leeds|another city]",
            ),
        ),
        (
            "any",
            (
                "I got a mail that claims to be from you and asks for my [password|card number], is it real",
                "a text says my parcel waits and I must pay {a} over a link",
                "someone called, said he is from your support and wanted a code",
            ),
        ),
        (
            "gift_card",
            (
                "a man on the phone made my [mother|father] buy {p}s and read out the codes",
                "I was told to pay a debt with your {p}, now I think it was a scam",
                "someone on a marketplace sold me a fake {p}",
            ),
        ),
        (
            "any",
            (
                "a seller on your marketplace writes [insults|threats] to me after my review",
                "another customer sends me rude messages through the app",
                "the courier shouted at me and called me names, I want to report that",
            ),
        ),
        (
            "any",
            (
                "there is a web page that copies your shop, lantern-outlet something",
                "fake shop with your pictures on social media",
                "an ad uses your logo to sell counterfeit {p}s",
            ),
        ),
        (
            "any",
            (
                "a review under the {p} contains my full name and phone number",
                "please remove a comment, it is racist",
                "someone posts spam links in the questions under the {p}",
            ),
        ),
        (
            "any",
            (
                "my ex knows my address because your account page shows it to him",
                "a person keeps ordering parcels to my door to harass me",
                "I get {n} parcels I never ordered, with odd names on them",
            ),
        ),
        (
            "any",
            (
                "delete all my data, you passed my email to advertisers",
                "I want to know who gave you my phone number",
                "I unsubscribed {n} times and the newsletters go on, this is harassment",
            ),
        ),
        (
            "any",
            (
                "I noticed I can see other people's orders by changing a number in the link",
                "reporting a security hole in the login page",
                "your password reset shows whether an address exists",
            ),
        ),
        (
            "any",
            (
                "one account has left {n}0 five star reviews within an hour, all fake",
                "I was offered {a} for a good rating of the {p}",
                "the seller asks me to write a review before he ships",
            ),
        ),
        (
            "any",
            (
                "the one who answers the chat swore at me",
                "your driver filmed my house, is that allowed",
                "I feel threatened by a message with the sender LANTERN",
            ),
        ),
        (
            "any",
            (
                "a minor used my phone to order, block that account please",
                "please block the account of my late father, somebody still uses it",
                "my account was taken over and the mail address replaced",
            ),
        ),
        (
            "thing",
            (
                "the {p} I got from a third party seller is a counterfeit",
                "serial number of this {p} exists twice, I think it is stolen goods",
                "they sell opened {p}s as new on your platform",
            ),
        ),
        (
            "any",
            (
                "someone tried to log in {n} times tonight, I got all the codes",
                "I keep getting password mails that I did not ask for",
                "login alert from a country I have never been to",
            ),
        ),
        (
            "any",
            (
                "an employee gave my order details to a caller without checking",
                "I found a label with the data of another customer in my box",
                "you sent my bill to a complete stranger, that is a data breach",
            ),
        ),
        (
            "any",
            (
                "this user impersonates your company on telegram",
                "they pretend to be your job department and want a fee of {a}",
                "a so called prize draw in your name asks for my bank details",
            ),
        ),
    ),
    "shipping": (
        (
            "thing",
            (
                "where is my {p}, it was due on {d}",
                "{o} has not moved in tracking for {n} days",
                "still waiting for the {p} I [ordered|bought] on {d}",
            ),
        ),
        (
            "any",
            (
                "can you change the delivery address of {o}",
                "I gave the wrong house number for {o}",
                "please send it to my office instead, I am away until {d}",
            ),
        ),
        (
            "any",
            (
                "tracking says delivered but there is nothing at [the door|my neighbours]",
                "the photo shows a door that is not mine",
                "nobody rang and the card says I was not at home",
            ),
        ),
        (
            "thing",
            (
                "the box was [crushed|open|wet] and the {p} has a dent",
                "{p} arrived in pieces, the packing was only paper",
                "the parcel was torn and something is missing",
            ),
        ),
        (
            "thing",
            (
                "I got a {p} but ordered something else",
                "only one of the two {p}s was in the box",
                "somebody else's order was in my parcel",
            ),
        ),
        (
            "any",
            (
                "do you deliver to [Norway|Malta|the islands|Canada]",
                "how long does it take to [Ireland|Sweden|a PO box]",
                "what does express cost to [Spain|the highlands]",
            ),
        ),
        (
            "any",
            (
                "can I pick up {o} myself",
                "is there a way to choose the hour of delivery",
                "please leave {o} with the neighbour at number {n}",
            ),
        ),
        (
            "thing",
            (
                "the {p} is stuck in customs, they want papers from you",
                "customs asks me to pay {a}, who has to pay",
                "the sender label has no customs form",
            ),
        ),
        (
            "any",
            (
                "my tracking number does not [work|exist]",
                "the carrier says they never got {o} from you",
                "no mail with a tracking link since {d}",
            ),
        ),
        (
            "any",
            (
                "half of {o} came, where is the rest",
                "why does {o} come in {n} parcels",
                "one item is missing and the slip says it was packed",
            ),
        ),
        (
            "any",
            (
                "I need it before {d}, can you make it faster",
                "birthday is on {d}, will {o} be there",
                "express was booked and this is day {n}",
            ),
        ),
        (
            "any",
            (
                "the courier left it in the rain",
                "driver threw the parcel over the fence",
                "it was put into the paper bin, which was then emptied",
            ),
        ),
        (
            "any",
            (
                "please hold {o} for {n} days, we are on holiday",
                "can the delivery be on a Saturday",
                "combine my two orders into one parcel please",
            ),
        ),
        (
            "any",
            (
                "parcel went to a pick-up point {n} km away",
                "the locker code for {o} is not accepted",
                "pick-up shop says the parcel went back",
            ),
        ),
        (
            "any",
            (
                "the status says returned to sender, I never got a chance",
                "{o} goes back and forth between two depots",
                "why was my parcel in [Lyon|Vienna] when I live in Cork",
            ),
        ),
        (
            "gift_card",
            (
                "the printed {p} has not come by post",
                "e-mail with the {p} never reached my friend",
                "the {p} was sent to the wrong person",
            ),
        ),
    ),
}

# Situations that two queues claim: the label is drawn.
AMBIGUOUS: tuple[tuple[tuple[str, str], str, tuple[str, ...]], ...] = (
    (
        ("billing", "refunds"),
        "any",
        (
            "I paid twice, please give back one of the payments",
            "you took {a} too much, I want it back",
            "the charge of {d} is wrong, return the difference",
            "double payment for {o}. Money back please",
        ),
    ),
    (
        ("shipping", "refunds"),
        "thing",
        (
            "the {p} never came, now I only want my money",
            "after {n} days without a delivery please cancel and repay",
            "{p} arrived broken and I don't want another",
            "lost parcel, who pays me back",
        ),
    ),
    (
        ("tech", "refunds"),
        "thing",
        (
            "the {p} stopped working after {n} days, I want a new one or the money",
            "this {p} is faulty, take it back",
            "third {p} in a row that fails. I am done, what now?",
            "it broke. I would like a replacement",
        ),
    ),
    (
        ("sales", "billing"),
        "membership",
        (
            "what would {p} cost us per year with VAT",
            "is there a cheaper way to pay for {p}",
            "please tell me the price of the {p} before I am billed",
            "can I get the old rate for {p}",
        ),
    ),
    (
        ("shipping", "sales"),
        "thing",
        (
            "if I order the {p} today, when do I have it",
            "is the {p} in stock and how fast can it be here",
            "do you ship the {p} abroad and at what price",
            "can the {p} be delivered to a business address",
        ),
    ),
    (
        ("abuse", "billing"),
        "any",
        (
            "I don't know this charge of {a}, I ordered nothing",
            "payment of {d} was not made by me",
            "someone must have used my card at your shop",
            "unknown debit of {a}, please explain or block it",
        ),
    ),
    (
        ("abuse", "tech"),
        "any",
        (
            "I am logged out all the time and my password has changed",
            "strange devices are listed in my account",
            "I can't get into my account and did get a mail about a new address",
            "is your site hacked? The app shows a stranger's name",
        ),
    ),
    (
        ("tech", "sales"),
        "thing",
        (
            "will the {p} work with my phone",
            "does the {p} need the app to run",
            "is there an adapter for the {p}",
            "can the battery of the {p} be replaced",
        ),
    ),
)

# Matters that are mentioned and already settled. They carry the words of other queues.
ASIDES: dict[str, tuple[str, ...]] = {
    "billing": (
        "The invoice is fine by the way.",
        "I paid by card as always.",
        "The amount is correct, that is not the point.",
        "(the double charge from last month is sorted out, thank you)",
        "I already updated my card.",
    ),
    "refunds": (
        "I don't want a refund.",
        "The money for the other return has come, thanks.",
        "I would hate to send it back.",
        "My last return went smoothly.",
        "No need to take it back yet.",
    ),
    "tech": (
        "The app works, at least.",
        "I restarted everything twice.",
        "Logging in is no problem.",
        "It is updated to the newest version.",
        "The error from last week is gone.",
    ),
    "sales": (
        "I might order a second one.",
        "We bought {n} of them last year.",
        "Your shop was recommended to me.",
        "I saw the new one in your catalogue, looks nice.",
        "We are thinking about the membership too.",
    ),
    "abuse": (
        "I reported the spam mail separately.",
        "And no, I did not share my password.",
        "The rude reviewer has been blocked, thanks for that.",
        "I hope this form is secure.",
        "I do hope that this is not a scam.",
    ),
    "shipping": (
        "Delivery was quick.",
        "It arrived on {d} as promised.",
        "The parcel was left at the door, all good.",
        "Tracking says delivered, and it was.",
        "The courier was friendly.",
    ),
}
OPENERS = (
    "",
    "",
    "",
    "",
    "",
    "",
    "Hi, ",
    "Hello, ",
    "Good morning. ",
    "hey ",
    "Dear team, ",
    "Hi there - ",
    "To whom it may concern: ",
    "Hello again. ",
    "Question: ",
    "Please help. ",
    "Good day, ",
    "Customer says: ",
    "Second time I write. ",
    "hi, quick one: ",
    "Evening, ",
    "ok so ",
    "Re {o}: ",
    "Sorry to bother you, but ",
    "I'm a bit annoyed. ",
    "Caller: ",
)
DETAILS = (
    "Number is {o}.",
    "It concerns {o}.",
    "I have been a customer for {n} years.",
    "This is for my office.",
    "I am travelling until {d}.",
    "My neighbour has the same.",
    "I asked on {d} and got no answer.",
    "Your chat bot was no help.",
    "I waited {n} minutes on the line.",
    "I have pictures if you need them.",
    "It was a present for my sister.",
    "I live in a house with no name on the door.",
    "See the attachment.",
    "The one I ordered on {d}.",
    "I tried on two computers.",
    "Nobody on the phone could tell me.",
    "It's for a birthday.",
    "My name is on the account.",
    "I use it every day.",
    "It's urgent for us.",
)
CLOSERS = (
    "",
    "",
    "",
    "",
    "",
    "Thanks.",
    "Thank you!",
    "Please answer soon.",
    "What can I do?",
    "Regards, {m}",
    "Best, {m}",
    "thx",
    "Please advise.",
    "Kind regards",
    "cheers",
    "Call me back please.",
    "Waiting for your reply, {m}",
    "This is really frustrating.",
    "Can someone look at this?",
    "??",
)
NAMES = (
    "Ines",
    "Jonas",
    "M. Okafor",
    "Petra K.",
    "Tom",
    "Aiko",
    "R. Duarte",
    "Lena",
    "S. Novak",
    "Bea",
    "Omar",
    "Mrs Lindqvist",
)
DAYS = (
    "Monday",
    "Tuesday",
    "Friday",
    "the 3rd",
    "the 14th",
    "12 May",
    "June 2nd",
    "last Thursday",
    "the weekend",
    "yesterday",
    "21.4.",
    "the 30th",
)
# Other words for the same thing: two people who write about one matter seldom choose the same.
REWORDED = {
    "money back": ("refund", "cash back", "payment returned", "money returned"),
    "my money": ("my cash", "the refund", "what I paid"),
    "give back": ("hand back", "return", "bring back"),
    "send back": ("return", "ship back", "give back"),
    "refund": ("repayment", "reimbursement", "money back"),
    "parcel": ("package", "box", "delivery", "shipment"),
    "parcels": ("packages", "boxes", "shipments"),
    "charged": ("billed", "debited", "invoiced"),
    "invoice": ("bill", "tax invoice", "statement"),
    "payment": ("transaction", "charge", "debit"),
    "pay": ("settle", "cover"),
    "card": ("credit card", "visa", "Mastercard", "debit card"),
    "account": ("profile", "login", "user account"),
    "my order": ("my purchase", "what I ordered", "the order"),
    "ordered": ("bought", "purchased", "requested"),
    "bought": ("purchased", "ordered", "got"),
    "cancel": ("call off", "stop", "withdraw"),
    "broke": ("fell apart", "gave up", "snapped"),
    "broken": ("damaged", "smashed", "in bits"),
    "arrived": ("came", "turned up", "got here"),
    "never": ("not once", "at no time"),
    "mail": ("email", "message", "e-mail"),
    "where is": ("what happened to", "I am looking for", "no sign of"),
    "want": ("would like", "need", "wish"),
    "please": ("could you", "kindly", "pls"),
    "somebody": ("someone", "a person", "some stranger"),
    "someone": ("somebody", "an unknown person"),
    "phone": ("mobile", "smartphone", "cell phone"),
    "price": ("cost", "rate"),
    "is it possible": ("would it work", "can one manage"),
    "how do I": ("what is the way to", "how can I", "can you tell me how to"),
    "can I": ("may I", "could I", "am I able to", "is there a way to"),
    "do you": ("does your shop", "would you", "do you people"),
    "wrong": ("incorrect", "not right", "mistaken"),
    "why": ("how come", "for what reason", "what is the reason"),
    "cannot": ("am unable to", "can't", "don't manage to"),
    "can't": ("cannot", "am not able to"),
    "tracking": ("the tracking page", "parcel tracking", "track and trace"),
    "courier": ("driver", "delivery man", "carrier"),
    "address": ("location", "street address"),
    "discount": ("reduction", "special price", "rebate"),
    "stuck": ("frozen", "hanging", "blocked"),
    "shows": ("displays", "gives me", "says"),
    "app": ("application", "mobile app"),
    "fake": ("phoney", "not genuine", "counterfeit"),
    "code": ("number", "PIN"),
    "delivery": ("dispatch", "arrival"),
    "deliver": ("ship", "send", "post"),
    "came": ("arrived", "showed up"),
    "monthly": ("every month's", "recurring"),
    "the total": ("the sum", "the amount", "the final figure"),
    "missing": ("not there", "absent", "left out"),
    "website": ("site", "web page", "shop page"),
}
NEIGHBOURS = {
    "a": "s",
    "e": "r",
    "i": "o",
    "o": "p",
    "t": "y",
    "n": "m",
    "r": "t",
    "s": "d",
    "l": "k",
}


def spun(text: str, rng: random.Random) -> str:
    """Choose one part of every `[a|b|c]`."""
    return re.sub(r"\[([^\]]*)\]", lambda match: rng.choice(match[1].split("|")), text)


def filled(text: str, product: str, rng: random.Random) -> str:
    """Put products, orders, amounts, numbers, days and names into their places."""
    whole = rng.choice((rng.randrange(5, 90), rng.randrange(12, 240)))
    values = {
        "p": lambda: rng.choice(PRODUCTS[product]).removeprefix("the "),
        "o": lambda: rng.choice(
            (
                f"order {rng.randrange(10_000, 99_999)}",
                f"#{rng.randrange(100_000, 999_999)}",
                "my order",
                "my last order",
                f"LT-{rng.randrange(1_000, 9_999)}",
            )
        ),
        "a": lambda: rng.choice(
            (f"{whole} euros", f"{whole}.90", f"€{whole}", f"{whole},50 EUR", f"{whole} pounds")
        ),
        "n": lambda: str(rng.randrange(2, 20)),
        "d": lambda: rng.choice(DAYS),
        "m": lambda: rng.choice(NAMES),
    }
    text = re.sub(r"\{([poandm])\}", lambda match: values[match[1]](), spun(text, rng))
    return re.sub(r"\b([Aa]) (?=Atlas|e-)", r"\1n ", text)


def reworded(text: str, rng: random.Random) -> str:
    """Put other words for some of those that have any."""
    pattern = "|".join(sorted(map(re.escape, REWORDED), key=len, reverse=True))

    def other(match: re.Match[str]) -> str:
        return rng.choice(REWORDED[match[0]]) if rng.random() < SHARE_REWORDED else match[0]

    return re.sub(rf"\b({pattern})\b", other, text)


def mistyped(text: str, rng: random.Random, rate: float) -> str:
    """Type like somebody in a hurry: swapped, doubled, missing and neighbouring letters."""
    letters = list(text)
    for place in range(1, len(letters) - 1):
        if not letters[place].isalpha() or rng.random() > rate:
            continue
        kind = rng.randrange(4)
        if kind == 0 and letters[place + 1].isalpha():
            letters[place], letters[place + 1] = letters[place + 1], letters[place]
        elif kind == 1:
            letters[place] = ""
        elif kind == 2:
            letters[place] *= 2
        else:
            letters[place] = NEIGHBOURS.get(letters[place], letters[place])
    return "".join(letters)


def styled(text: str, rng: random.Random) -> str:
    """Give the ticket the look of its writer."""
    draw = rng.random()
    if draw < 0.22:
        text = text.lower()
    elif draw < 0.25:
        text = text.upper()
    if rng.random() < 0.15:
        text = text.replace(".", "").replace(",", "")
    if rng.random() < 0.25:
        text = mistyped(text, rng, rng.choice((0.01, 0.02)))
    return " ".join(text.split())


def sentence(text: str) -> str:
    """Begin with a capital letter and end with a mark."""
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".?!" else text + "."


def product_of(kind: str, rng: random.Random) -> str:
    """Return a product that fits the situation."""
    if kind == "thing":
        return rng.choice(THINGS)
    return rng.choice(tuple(PRODUCTS)) if kind == "any" else kind


def ticket(queue: str, kind: str, wording: str, *, rng: random.Random) -> dict[str, str]:
    """Write one ticket around one wording."""
    product = product_of(kind, rng)
    parts = [sentence(filled(reworded(spun(wording, rng), rng), product, rng))]
    others = [name for name in ASIDES if name != queue]
    if rng.random() < SHARE_ASIDE:
        parts.append(filled(rng.choice(ASIDES[rng.choice(others)]), product, rng))
    for _ in range(rng.choice((0, 0, 0, 1))):
        parts.append(sentence(filled(rng.choice(DETAILS), product, rng)))
    if rng.random() < 0.25:
        rng.shuffle(parts)
    opener = filled(rng.choice(OPENERS), product, rng)
    closer = filled(rng.choice(CLOSERS), product, rng)
    text = styled(f"{opener}{' '.join(parts)} {closer}".strip(), rng)
    return {"text": text, "queue": queue, "product": product, "channel": rng.choice(CHANNELS)}


def clear_tickets(count: int, rng: random.Random) -> list[dict[str, str]]:
    """Go through all situations in turn, so that a wording comes back as late as possible."""
    tickets: list[dict[str, str]] = []
    for queue, share in zip(SITUATIONS, (0.2, 0.19, 0.19, 0.16, 0.1, 0.16), strict=True):
        wordings = [(kind, w) for kind, texts in SITUATIONS[queue] for w in texts]
        rng.shuffle(wordings)
        for number in range(round(count * share)):
            kind, wording = wordings[number % len(wordings)]
            tickets.append(ticket(queue, kind, wording, rng=rng))
    return tickets


def ambiguous_tickets(count: int, rng: random.Random) -> list[dict[str, str]]:
    """Write tickets that two queues claim, and draw the queue."""
    tickets: list[dict[str, str]] = []
    for _ in range(count):
        queues, kind, wordings = rng.choice(AMBIGUOUS)
        tickets.append(ticket(rng.choice(queues), kind, rng.choice(wordings), rng=rng))
    return tickets


def main(folder: Path) -> None:
    """Write `data/examples.jsonl` into `folder`."""
    rng = random.Random(SEED)
    doubtful = round(TICKETS * SHARE_AMBIGUOUS)
    tickets = [*clear_tickets(TICKETS + SPARE - doubtful, rng), *ambiguous_tickets(doubtful, rng)]
    rng.shuffle(tickets)
    # A few are spare, for tickets that come out alike.
    seen: set[str] = set()
    rows = [t for t in tickets if not (t["text"] in seen or seen.add(t["text"]))][:TICKETS]
    path = folder / "data" / "examples.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number, row in enumerate(rows, 1):
            file.write(json.dumps({"id": f"t{number:04}", **row}, ensure_ascii=False) + "\n")
    print(len(rows), "tickets:", dict(Counter(row["queue"] for row in rows)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
