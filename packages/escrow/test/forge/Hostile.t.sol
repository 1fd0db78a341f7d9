// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Escrow} from "../../contracts/Escrow.sol";
import {Base} from "./Base.sol";
import {CallbackToken, FeeToken, MoodyToken, NoReturnToken, PlainToken, Refuser, ShortToken} from "./Hostile.sol";

/// @dev Tokens and recipients that misbehave: they hurt themselves, never the other side.
contract HostileTest is Base {
    function test_fee_on_transfer_is_refused() public {
        Escrow.Order memory o = makeOrder(address(equip(new FeeToken())));
        vm.expectRevert(Escrow.TokenAmountMismatch.selector);
        vm.prank(buyer);
        escrow.fund(o, "");
    }

    function test_an_authorization_that_brings_too_little_is_refused() public {
        Escrow.Order memory o = makeOrder(address(equip(new ShortToken())));
        vm.expectRevert(Escrow.TokenAmountMismatch.selector);
        escrow.fundWithAuthorization(o, "", 0, 1, new bytes(65));
        vm.expectRevert(Escrow.TokenAmountMismatch.selector);
        escrow.fundWithAuthorization(o, "", 0, 1, new bytes(66));
    }

    /// Each of the eighteen words with a bit beyond its type: such an order can never be funded.
    function test_words_that_overflow_their_type_are_refused() public {
        Escrow.Order memory o = makeOrder(address(0));
        uint256 due = uint256(o.amount) + o.buyerDeposit;
        vm.deal(address(this), 1e24);
        for (uint256 word = 0; word < 17; word++) {
            bytes memory call = abi.encodeCall(Escrow.fund, (o, ""));
            call[4 + 32 * word] ^= 0x80;
            (bool ok,) = address(escrow).call{value: due}(call);
            require(!ok, vm.toString(word));
        }
        (bool clean,) = address(escrow).call{value: due}(abi.encodeCall(Escrow.fund, (o, "")));
        require(clean, "the order itself is refused");
    }

    function test_a_token_that_is_no_contract_is_refused() public {
        Escrow.Order memory o = makeOrder(address(0xDEAD));
        vm.expectRevert();
        vm.prank(buyer);
        escrow.fund(o, "");
    }

    function test_no_return_value_is_fine() public {
        NoReturnToken odd = new NoReturnToken();
        odd.mint(buyer, 1e18);
        odd.mint(seller, 1e18);
        Escrow.Order memory o = makeOrder(address(odd));
        reach(o, Escrow.Status.Released);
        same(odd.balanceOf(seller), 1e18 + 975_003, "seller");
        same(odd.balanceOf(address(escrow)), 0, "left");
    }

    function test_what_a_token_refuses_becomes_credit() public {
        MoodyToken moody = MoodyToken(address(equip(new MoodyToken())));
        for (uint256 mood = 1; mood <= uint256(MoodyToken.Mood.BurnGas); mood++) {
            Escrow.Order memory o = makeOrder(address(moody));
            reach(o, Escrow.Status.Holding);
            moody.setMood(MoodyToken.Mood(mood));
            uint256 before = escrow.credit(buyer, address(moody));
            timeout(o);
            sameStatus(stateOf(o).status, Escrow.Status.Released);
            same(escrow.credit(buyer, address(moody)) - before, BUYER_DEPOSIT, "credit");
            moody.setMood(MoodyToken.Mood.Fair);
        }
        vm.prank(buyer);
        same(escrow.withdraw(address(moody), buyer), 3 * uint256(BUYER_DEPOSIT), "withdrawn");
        vm.prank(buyer);
        vm.expectRevert(Escrow.BadAmount.selector);
        escrow.withdraw(address(moody), buyer);
    }

    function test_a_denied_party_blocks_nobody_and_withdraws_elsewhere() public {
        MoodyToken moody = MoodyToken(address(equip(new MoodyToken())));
        Escrow.Order memory o = makeOrder(address(moody));
        reach(o, Escrow.Status.Disputed);
        moody.deny(seller, true);
        rule(o, 500_000);
        same(escrow.credit(seller, address(moody)), 462_303 + 203, "credit");
        vm.prank(seller);
        vm.expectRevert();
        escrow.withdraw(address(moody), seller);
        bytes memory sig = withdrawal(SELLER_KEY, seller, address(moody), stranger);
        vm.expectRevert(Escrow.BadSignature.selector);
        escrow.withdrawFor(seller, address(moody), market, block.timestamp, sig);
        uint256 before = moody.balanceOf(stranger);
        escrow.withdrawFor(seller, address(moody), stranger, block.timestamp, sig);
        same(moody.balanceOf(stranger) - before, 462_506, "elsewhere");
        same(moody.balanceOf(address(escrow)), 0, "left");
    }

    function test_credit_is_not_withdrawn_into_nowhere() public {
        (Refuser party, Escrow.Order memory o) = withRefuser(Refuser.Mood.Refuse);
        release(o, AMOUNT);
        address[2] memory nowhere = [address(0), address(escrow)];
        for (uint256 i = 0; i < 2; i++) {
            vm.expectRevert(Escrow.BadValue.selector);
            party.act(abi.encodeCall(Escrow.withdraw, (address(0), nowhere[i])));
        }
        same(escrow.credit(address(party), address(0)), 975_003, "credit");
    }

    function test_withdrawals_by_signature_end() public {
        bytes memory sig = withdrawal(SELLER_KEY, seller, address(0), stranger);
        uint256 deadline = block.timestamp;
        vm.warp(deadline + 1);
        vm.expectRevert(Escrow.TooLate.selector);
        escrow.withdrawFor(seller, address(0), stranger, deadline, sig);
    }

    function test_a_token_cannot_be_counted_twice_from_within() public {
        CallbackToken sly = CallbackToken(address(equip(new CallbackToken())));
        Escrow.Order memory outer = makeOrder(address(sly));
        Escrow.Order memory inner = makeOrder(address(sly));
        sly.arm(address(escrow), abi.encodeCall(Escrow.fund, (inner, "")));
        fund(outer);
        require(sly.failure().length == 4, "the inner call was let in");
        sameStatus(stateOf(inner).status, Escrow.Status.None);
        same(sly.balanceOf(address(escrow)), escrow.held(outer), "held");
    }

    function test_a_recipient_that_refuses_is_credited() public {
        for (uint256 mood = 1; mood <= uint256(Refuser.Mood.ReturnBomb); mood++) {
            (Refuser party, Escrow.Order memory o) = withRefuser(Refuser.Mood(mood));
            release(o, AMOUNT);
            same(escrow.credit(address(party), address(0)), 975_003, "credit");
            party.setMood(Refuser.Mood.Take);
            party.act(abi.encodeCall(Escrow.withdraw, (address(0), address(party))));
            same(address(party).balance, 975_003, "withdrawn");
        }
        same(address(escrow).balance, 0, "left");
    }

    function test_a_recipient_that_comes_back_in_is_credited_once() public {
        (Refuser party, Escrow.Order memory o) = withRefuser(Refuser.Mood.Reenter);
        party.arm(abi.encodeCall(Escrow.refund, (o, 1, "")));
        release(o, 400_000);
        same(escrow.credit(address(party), address(0)), 390_000, "credit");
        party.arm(abi.encodeCall(Escrow.withdraw, (address(0), address(party))));
        vm.expectRevert();
        party.act(abi.encodeCall(Escrow.withdraw, (address(0), address(party))));
        same(escrow.credit(address(party), address(0)), 390_000, "credit kept");
    }

    /// Whatever gas the caller gives: the call fails whole, or the seller is paid. Never a credit by starvation.
    function test_starving_a_push_reverts() public {
        (Refuser party, Escrow.Order memory o) = withRefuser(Refuser.Mood.Take);
        bytes memory call = abi.encodeCall(Escrow.release, (o, AMOUNT, ""));
        uint256 refusedForGas;
        for (uint256 gasLimit = 20_000; gasLimit < 260_000; gasLimit += 2_000) {
            uint256 snapshot = vm.snapshotState();
            vm.prank(buyer);
            (bool ok, bytes memory failure) = address(escrow).call{gas: gasLimit}(call);
            same(escrow.credit(address(party), address(0)), 0, "starved into a credit");
            same(address(party).balance, ok ? 975_003 : 0, "paid");
            if (!ok && failure.length == 4 && bytes4(failure) == Escrow.LowGas.selector) refusedForGas++;
            vm.revertToState(snapshot);
        }
        require(refusedForGas > 10, "the sweep missed the bound");
    }

    function test_bad_orders_are_refused() public {
        for (uint256 fault = 0; fault < 20; fault++) {
            Escrow.Order memory o = spoil(makeOrder(address(0)), fault);
            uint256 due = uint256(o.amount) + o.buyerDeposit;
            vm.deal(stranger, due);
            vm.prank(stranger);
            (bool ok, bytes memory failure) = address(escrow).call{value: due}(abi.encodeCall(Escrow.fund, (o, "")));
            require(!ok && bytes4(failure) == Escrow.BadOrder.selector, vm.toString(fault));
        }
    }

    function test_money_must_fit_the_order() public {
        Escrow.Order memory o = makeOrder(address(0));
        Escrow.Order memory inToken = makeOrder(address(token));
        vm.deal(address(this), 1e24);
        vm.expectRevert(Escrow.BadValue.selector);
        escrow.fund{value: AMOUNT + BUYER_DEPOSIT - 1}(o, "");
        vm.expectRevert(Escrow.BadValue.selector);
        escrow.fund{value: AMOUNT + BUYER_DEPOSIT + 1}(o, "");
        vm.expectRevert(Escrow.BadValue.selector);
        escrow.fund{value: 1}(inToken, "");
        bytes memory sig = sign(SELLER_KEY, escrow.orderId(o));
        vm.expectRevert(Escrow.BadValue.selector);
        escrow.fund{value: AMOUNT + BUYER_DEPOSIT}(o, sig);
        fund(o);
        vm.expectRevert(Escrow.BadValue.selector);
        vm.prank(seller);
        escrow.accept{value: SELLER_DEPOSIT - 1}(o, "");
        o.acceptBy = uint40(block.timestamp - 1);
        vm.expectRevert(Escrow.TooLate.selector);
        escrow.fund{value: AMOUNT + BUYER_DEPOSIT}(o, "");
    }

    function test_nobody_sends_money_by_mistake() public {
        vm.prank(buyer);
        (bool ok,) = address(escrow).call{value: 1}("");
        require(!ok, "plain coin was taken");
    }

    function spoil(Escrow.Order memory o, uint256 fault) private view returns (Escrow.Order memory) {
        if (fault == 0) o.buyer = address(0);
        if (fault == 1) o.seller = address(0);
        if (fault == 2) o.seller = o.buyer;
        if (fault == 3) o.arbiter = o.buyer;
        if (fault == 4) o.arbiter = o.seller;
        if (fault == 5) o.buyer = address(escrow);
        if (fault == 6) o.seller = address(escrow);
        if (fault == 7) o.feeRecipient = address(escrow);
        if (fault == 8) (o.amount, o.buyerDeposit) = (0, 1);
        if (fault == 9) o.sellerDeposit = type(uint104).max;
        if (fault == 10) o.feeBps = 1_001;
        if (fault == 11) o.feeRecipient = address(0);
        if (fault == 12) o.arbiterFeeBps = 2_501;
        if (fault == 13) o.arbiter = address(0);
        if (fault == 14) o.defaultSellerBps = 10_001;
        if (fault == 15) o.acceptBy = uint40(block.timestamp + 3651 days);
        if (fault == 16) o.notBefore = type(uint40).max;
        if (fault == 17) o.releaseWindow = 0;
        if (fault == 18) o.rulingWindow = 0;
        if (fault == 19) o.depositWindow = type(uint32).max;
        return o;
    }

    function withRefuser(Refuser.Mood mood) private returns (Refuser party, Escrow.Order memory o) {
        party = new Refuser(escrow);
        party.setMood(mood);
        o = makeOrder(address(0));
        o.seller = address(party);
        (o.buyerDeposit, o.sellerDeposit) = (0, 0);
        fund(o);
        party.act(abi.encodeCall(Escrow.accept, (o, "")));
    }

    function equip(PlainToken fresh) private returns (PlainToken) {
        address[2] memory payers = [buyer, seller];
        for (uint256 i = 0; i < 2; i++) {
            fresh.mint(payers[i], 1e18);
            vm.prank(payers[i]);
            fresh.approve(address(escrow), type(uint256).max);
        }
        return fresh;
    }

    function withdrawal(uint256 key, address who, address currency, address to) private view returns (bytes memory) {
        bytes32 typeHash = keccak256("Withdraw(address who,address token,address to,uint256 deadline)");
        return sign(key, digest(keccak256(abi.encode(typeHash, who, currency, to, block.timestamp))));
    }
}
